"""Which images each step of training sees, and how they reach the device."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from bench import seeds

Images = UInt8[Tensor, "batch channels size size"]
Indices = Int[Tensor, " batch"]
AHEAD = 2
"""Batches that are gathered before the one that the device is at."""


def steps_an_epoch(images: int, batch: int) -> int:
    """Return the steps of one epoch; the last incomplete batch is dropped."""
    return images // batch


def shuffled(images: int, batch: int, seed: int, steps: range, device: torch.device) -> Iterator[Indices]:
    """Yield the indices of each of ``steps`` on ``device``; an epoch's order depends on the seed and its number alone.

    They go to the device an epoch at a time: a copy a step would let the host wait for all work before it.
    """
    per_epoch = steps_an_epoch(images, batch)
    order = torch.empty(0, dtype=torch.int64)
    for step in steps:
        epoch, position = divmod(step, per_epoch)
        if position == 0 or step == steps.start:
            order = torch.randperm(images, generator=seeds.generator(seed, "order", epoch)).to(device)
        yield order[position * batch : (position + 1) * batch]


def gathered(images: Images, indices: Iterator[Indices], device: torch.device) -> Iterator[tuple[Indices, Images]]:
    """Yield each step's indices and images on ``device``, read ahead where the images lie elsewhere."""
    if images.device.type != device.type:
        yield from read_ahead(images, indices, device)
        return
    for chosen in indices:
        yield chosen, images[chosen]


def read_ahead(images: Images, indices: Iterator[Indices], device: torch.device) -> Iterator[tuple[Indices, Images]]:
    """Yield each step's indices and images on ``device``.

    A thread gathers them while the device computes the steps before: the images may be mapped from a file that has to be read.
    """

    def gather(chosen: Indices) -> tuple[Indices, Images]:
        return _pinned(chosen, device), _pinned(images[chosen], device)

    waiting: deque[Future[tuple[Indices, Images]]] = deque()
    with ThreadPoolExecutor(1, "gather") as reader:
        try:
            for chosen in indices:
                waiting.append(reader.submit(gather, chosen))
                if len(waiting) > AHEAD:
                    yield _sent(waiting.popleft(), device)
            while waiting:
                yield _sent(waiting.popleft(), device)
        finally:
            for future in waiting:
                future.cancel()


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """Return it in memory from which a copy to the GPU does not hold up the host."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def _sent(read: Future[tuple[Indices, Images]], device: torch.device) -> tuple[Indices, Images]:
    indices, images = read.result()
    return indices.to(device, non_blocking=True), images.to(device, non_blocking=True)
