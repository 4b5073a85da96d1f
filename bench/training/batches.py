"""Batches of training: draw the order of the images, and load them onto the device."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from bench import seeds
from bench.device import on_device, pinned
from protocols.selection import LARGE, Selection

Images = UInt8[Tensor, "batch channels size size"]
Indices = Int[Tensor, " batch"]
AHEAD = 2
"""Number of batches that are read ahead of the current one."""


def steps_per_epoch(images: int, batch: int) -> int:
    """Return the number of steps per epoch; the last incomplete batch is dropped."""
    return images // batch


def shuffled(images: int, batch: int, seed: int, steps: range, device: torch.device) -> Iterator[Indices]:
    """Yield the indices of each step's batch, on ``device``; the order of an epoch depends only on the seed and the epoch's number.

    The indices are copied to the device once per epoch.

    Args:
        images: Number of images.
        batch: Images per step.
        seed: The run's seed.
        steps: Steps to yield, counted over all epochs from 0.
        device: Device of the indices.
    """
    per_epoch = steps_per_epoch(images, batch)
    order = torch.empty(0, dtype=torch.int64)
    for step in steps:
        epoch, position = divmod(step, per_epoch)
        if position == 0 or step == steps.start:
            order = on_device(torch.randperm(images, generator=seeds.generator(seed, "order", epoch)), device)
        yield order[position * batch : (position + 1) * batch]


def gathered(
    images: Images | Selection, indices: Iterator[Indices], device: torch.device, part: slice = slice(None)
) -> Iterator[tuple[Indices, Images]]:
    """Yield each step's indices and images on ``device``; they are read ahead if they are on another device or too many for memory.

    Args:
        images: All images.
        indices: The indices of each step's batch.
        device: Device of the results.
        part: The part of each batch whose images are needed.
    """
    if images.device.type != device.type or (device.type == "cpu" and images.numel() > LARGE):
        yield from read_ahead(images, indices, device, part)
        return
    for chosen in indices:
        yield chosen, images[chosen[part]]


def read_ahead(
    images: Images | Selection, indices: Iterator[Indices], device: torch.device, part: slice = slice(None)
) -> Iterator[tuple[Indices, Images]]:
    """Yield each step's indices and images on ``device``; a thread reads them while the device computes earlier steps.

    Reading may be slow, because the images may be a memory-mapped file. The arguments are those of ``gathered``.
    """

    def read(chosen: Indices) -> tuple[Indices, Images]:
        wanted = chosen[part]
        batch = images[wanted] if isinstance(images, Selection) else Selection([images], wanted)[:]
        # Pinned here: the training loop would wait for the copy of a batch to pinned memory.
        return (chosen, batch) if device.type == "cpu" else (pinned(chosen), pinned(batch))

    waiting: deque[Future[tuple[Indices, Images]]] = deque()
    with ThreadPoolExecutor(1, "gather") as reader:
        try:
            for chosen in indices:
                waiting.append(reader.submit(read, chosen))
                if len(waiting) > AHEAD:
                    yield _on_device(waiting.popleft(), device)
            while waiting:
                yield _on_device(waiting.popleft(), device)
        finally:
            for future in waiting:
                future.cancel()


def _on_device(batch: Future[tuple[Indices, Images]], device: torch.device) -> tuple[Indices, Images]:
    indices, images = batch.result()
    return on_device(indices, device), on_device(images, device)
