"""Arrays larger than memory: mapped from files, and images chosen by their positions, of which only those that are asked for are read."""

import math
import mmap
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

LARGE = 256 * 2**20
"""Bytes. Arrays up to this size are copied and kept in memory; of larger ones only parts are in memory."""
AT_ONCE = 32
"""Images that are read before their pages are given back."""
_large: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()


def map_array(file: IO[bytes], dtype: npt.DTypeLike, shape: tuple[int, ...], offset: int = 0) -> npt.NDArray[Any]:
    """Map an array from an open file, copy-on-write: the file never changes.

    What is written into an array of more than ``LARGE`` bytes is lost at the next ``release``.
    """
    array: npt.NDArray[Any] = np.memmap(file, dtype, "c", offset, shape)
    if array.nbytes > LARGE:
        mapping: mmap.mmap = array._mmap  # type: ignore[attr-defined]
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            # With huge pages, an image that is read would bring the megabytes around it into the process.
            with suppress(OSError):  # a kernel without huge pages
                mapping.madvise(mmap.MADV_NOHUGEPAGE)
        _large.add(mapping)
    return array


def release() -> None:
    """Remove the pages of large arrays from this process; the system keeps them as long as it has memory to spare.

    The system counts pages of a mapped file as memory of the process that has read them. Without this, a process that reads all images
    once would be as large as the images.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapping in list(_large):
            mapping.madvise(mmap.MADV_DONTNEED)


class Selection:
    """Images at some positions of one or several arrays, which may be mapped from files: like a tensor of which only parts are read.

    It has a length, a shape, a device, and is indexed by a position, a slice or a tensor of positions, which returns a tensor.

    Args:
        parts: uint8 images, one array after the other.
        positions: Positions in all parts together; on the CPU.
    """

    def __init__(self, parts: Sequence["Tensor | Selection"], positions: Int[Tensor, " selected"]) -> None:
        count = sum(map(len, parts))
        if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) < count:
            raise IndexError(f"positions from {int(positions.min())} to {int(positions.max())} in {count} images")
        self.parts, self.positions = tuple(parts), positions
        self.shape: torch.Size = torch.Size((len(positions), *parts[0].shape[1:]))
        self.device: torch.device = parts[0].device

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: "int | slice | Tensor") -> UInt8[Tensor, "..."]:
        """Return a copy of the images at one or several positions of the selection."""
        if isinstance(chosen, int):
            return self[torch.tensor([chosen])][0]
        positions = self.positions[chosen.to(self.positions.device) if isinstance(chosen, Tensor) else chosen]
        images = torch.empty((len(positions), *self.shape[1:]), dtype=torch.uint8, device=self.device)
        for some, copy in zip(torch.split(positions, AT_ONCE), torch.split(images, AT_ONCE), strict=True):
            start = 0
            for part in self.parts:
                inside = (some >= start) & (some < start + len(part))
                copy[inside] = part[some[inside] - start]
                start += len(part)
            release()
        return images

    def numel(self) -> int:
        """Return the number of pixel values."""
        return math.prod(self.shape)


def selected(parts: Sequence[Tensor | Selection], positions: Int[Tensor, " selected"]) -> Tensor | Selection:
    """Return the images at some positions of one or several arrays: a copy if they take at most ``LARGE`` bytes, else a ``Selection``."""
    selection = Selection(parts, positions)
    return selection[:] if selection.numel() <= LARGE else selection


def images_on_device(images: Tensor | Selection, device: torch.device, room: float) -> Tensor | Selection:
    """Return images on a device; they stay where they are if they would take ``room`` bytes or more.

    They are copied to a GPU in blocks, and a selection stays one on the CPU.
    """
    if images.numel() >= room:
        return images
    if images.device == device or (isinstance(images, Selection) and device.type == "cpu"):
        return images
    if isinstance(images, Tensor) and images.numel() <= LARGE:
        return images.to(device)
    copy = torch.empty(images.shape, dtype=torch.uint8, device=device)
    rows = rows_per_block(images)
    for start in range(0, len(images), rows):
        copy[start : start + rows] = images[start : start + rows]
    return copy


def rows_per_block(images: Tensor | Selection, most: int = LARGE // 16) -> int:
    """Return how many images have at most ``most`` pixel values; at least one."""
    return max(1, most // max(1, math.prod(images.shape[1:])))
