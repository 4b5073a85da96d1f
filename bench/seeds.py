"""Random numbers: one generator per purpose, derived from the seed and a name, so that any step can be reproduced alone."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from bench.device import new_generator


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, the same on every machine.

    Args:
        seed: The seed of the run, or of the data set.
        purpose: What the numbers are for, for example ``"views", step``.
    """
    text = "\0".join([str(seed), *map(str, purpose)]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator on ``device`` for one purpose."""
    return new_generator(device).manual_seed(derive(seed, *purpose))


def seed_everything(seed: int, *purpose: str | int) -> None:
    """Seed the global generators of torch, numpy and Python: lightly's transforms and modules draw from all three."""
    value = derive(seed, *purpose)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)  # noqa: NPY002  (lightly draws from numpy's global generator)
    random.seed(value)


@contextmanager
def restored(device: torch.device) -> Iterator[None]:
    """Restore the global generators at the end of a ``with`` block, also that of a GPU."""
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            np.random.set_state(of_numpy)  # noqa: NPY002
            random.setstate(of_python)
