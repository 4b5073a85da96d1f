"""Decoded images mapped from their files, which are locked while they are used; images read in blocks."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import UInt8
from torch import Tensor

from protocols.selection import Selection, map_array, release, rows_per_block

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
except ImportError:  # Windows, which never deletes a mapped file
    flock = None  # type: ignore[assignment]


def map_images(path: Path) -> npt.NDArray[Any]:
    """Map an array from a file in numpy's format; as long as the array exists, ``unused`` yields False for the file.

    Raises:
        OSError, ValueError: It cannot be read, is no such file, or is shorter or longer than its array.
    """
    with open(path, "rb", opener=_open_itself) as file:
        if flock is not None:
            # The mapping has a copy of the file's handle, which keeps the lock.
            flock(file, LOCK_SH)
        state = os.fstat(file.fileno())
        if not os.path.samestat(state, path.stat()):
            raise FileNotFoundError(f"{path} was deleted while it was opened")
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{path} has another version of numpy's format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        offset = file.tell()
        if fortran or state.st_size != offset + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{path} is incomplete")
        return map_array(file, dtype, shape, offset)


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Yield whether no process of this machine has mapped a file by ``map_images``; if so, none can within the ``with`` block."""
    if flock is None:
        yield True
        return
    with open(path, "rb", opener=_open_itself) as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def image_blocks(images: Tensor | Selection) -> Iterator[UInt8[Tensor, "block channels size size"]]:
    """Yield images in order, in blocks of some megabytes."""
    count = rows_per_block(images)
    for start in range(0, len(images), count):
        yield images[start : start + count]
        release()


def _open_itself(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
