"""Batches of training: draw the order of the images, and load them onto the device."""

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
"""Number of batches that are read ahead of the current one."""


def steps_per_epoch(images: int, batch: int) -> int:
    """Return the number of steps per epoch; the last incomplete batch is dropped."""
    return images // batch


def shuffled(images: int, batch: int, seed: int, steps: range, device: torch.device) -> Iterator[Indices]:
    """Yield the indices of each step's batch, on ``device``; the order of an epoch depends only on the seed and the epoch's number.

    The indices are copied to the device once per epoch: with a copy per step, the host would wait for all earlier work.

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
            order = torch.randperm(images, generator=seeds.generator(seed, "order", epoch)).to(device)
        yield order[position * batch : (position + 1) * batch]


def gathered(
    images: Images, indices: Iterator[Indices], device: torch.device, part: slice = slice(None)
) -> Iterator[tuple[Indices, Images]]:
    """Yield each step's indices and images on ``device``; images that are stored on another device are read ahead.

    Args:
        images: All images.
        indices: The indices of each step's batch.
        device: Device of the results.
        part: The part of each batch whose images are needed.
    """
    if images.device.type != device.type:
        yield from read_ahead(images, indices, device, part)
        return
    for chosen in indices:
        yield chosen, images[chosen[part]]


def read_ahead(
    images: Images, indices: Iterator[Indices], device: torch.device, part: slice = slice(None)
) -> Iterator[tuple[Indices, Images]]:
    """Yield each step's indices and images on ``device``; a thread reads them while the device computes earlier steps.

    Reading may be slow, because the images may be a memory-mapped file. The arguments are those of ``gathered``.
    """

    def read(chosen: Indices) -> tuple[Indices, Images]:
        return _pinned(chosen, device), _pinned(images[chosen[part]], device)

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


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to pinned memory if ``device`` is a GPU, so that the host does not wait for the copy to the GPU."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def _on_device(batch: Future[tuple[Indices, Images]], device: torch.device) -> tuple[Indices, Images]:
    indices, images = batch.result()
    return indices.to(device, non_blocking=True), images.to(device, non_blocking=True)
