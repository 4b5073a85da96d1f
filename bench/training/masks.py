"""Masks of the batches: drawn in the training process, or ahead of it in a second process while a GPU trains."""

import multiprocessing
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from bench import seeds
from bench.errors import SslbenchError
from bench.orphan import end_with_parent
from bench.training.batches import AHEAD
from bench.training.returned import in_function
from methods.base import Method

Draw = Callable[[int, torch.Generator], Any]
OWN = "methods."
"""Modules that a second process can import; the file of a plugin it cannot."""


def drawn(method: Method, batch: int, seed: int, steps: range, device: torch.device) -> Iterator[Any]:
    """Yield the masks of each step on the CPU, None for a method without masks; they depend only on the seed and the step.

    On a GPU they are drawn ahead in a second process: lightly's functions take up to 34 ms for a batch of 256 images, in which the GPU
    would wait. Masks of plugins are drawn in the training process.

    Args:
        method: The method, whose ``collate`` is used.
        batch: Images per step.
        seed: The run's seed.
        steps: Steps to yield, counted over all epochs from 0.
        device: The device that trains.
    """
    with in_function("collate"):
        draw = method.collate(method.settings, method.traits)
    if draw is None:
        yield from (None for _ in steps)
    elif device.type == "cuda" and type(method).__module__.startswith(OWN):
        yield from drawn_ahead(method, batch, seed, steps)
    else:
        for step in steps:
            with in_function("the function that collate returned"):
                masks = draw_step(draw, batch, seed, step)
            yield masks


def draw_step(draw: Draw, batch: int, seed: int, step: int) -> Any:
    """Return the masks of one step."""
    return draw(batch, seeds.generator(seed, "masks", step))


def drawn_ahead(method: Method, batch: int, seed: int, steps: range) -> Iterator[Any]:
    """Yield the masks of each step, drawn by a second process some steps ahead; the arguments are those of ``drawn``.

    Raises:
        SslbenchError: The process died.
    """
    # A thread would not do: lightly's functions draw from the global generators, which the training process uses too.
    context = multiprocessing.get_context("spawn")
    content = pickle.dumps((type(method), method.settings, method.traits))
    waiting: deque[Future[bytes]] = deque()
    process = ProcessPoolExecutor(1, context, _start, (content, batch, seed))
    try:
        for step in steps:
            waiting.append(process.submit(_draw, step))
            if len(waiting) > AHEAD:
                yield pickle.loads(waiting.popleft().result())
        while waiting:
            yield pickle.loads(waiting.popleft().result())
    except BrokenProcessPool as error:
        raise SslbenchError("the process that draws masks died (out of memory?); run the same command again") from error
    finally:
        process.shutdown(cancel_futures=True)


_settings: tuple[Draw, int, int] | None = None
"""What this process draws: the function of the method, the images per step and the seed."""


def _start(content: bytes, batch: int, seed: int) -> None:
    global _settings
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    end_with_parent(0)
    method, settings, traits = pickle.loads(content)
    draw = method.collate(settings, traits)
    _settings = draw, batch, seed


def _draw(step: int) -> bytes:
    assert _settings is not None
    # As bytes: tensors would be sent through shared memory, which vanishes with this process.
    return pickle.dumps(draw_step(*_settings, step))
