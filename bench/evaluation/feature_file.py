"""Features that are too many for memory, in a file without a name: it ends with the process, even if that is killed."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from bench.device import free_memory
from bench.errors import StorageError
from protocols.selection import LARGE, map_array


def stored(
    parts: Iterator[Float[Tensor, "batch ..."]], images: int, folder: Path | None
) -> Float[Tensor, "images ..."]:
    """Return batches of float32 features as one tensor: on their device, or mapped from a file if they are too many for that.

    Args:
        parts: The features, batch by batch.
        images: Number of images in all batches.
        folder: Folder of the file; None keeps everything in memory.

    Raises:
        StorageError: The file cannot be written, for example because the disk is full.
    """
    first = next(parts)
    if folder is None or not too_many(images, first):
        return torch.cat([first, *parts])
    file = FeatureFile(folder)
    file.add(first)
    for part in parts:
        file.add(part)
    shape = first.shape[1:]
    return file.mapped(images, math.prod(shape)).view(images, *shape)


def too_many(images: int, part: Float[Tensor, "batch ..."]) -> bool:
    """Return whether the features of all images need a file: more than ``LARGE`` bytes, or a quarter of a GPU's free memory.

    Args:
        images: Number of images.
        part: The features of some of them.
    """
    most = LARGE if part.device.type == "cpu" else free_memory(part.device)[0] // 4
    return images * part[0].numel() * part.element_size() > most


class FeatureFile:
    """Writes features batch by batch, then maps them.

    Args:
        folder: Folder of the file.

    Raises:
        StorageError: The folder is not writable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (``mapped`` closes it)
        except OSError as error:
            raise self._full(error) from error

    def add(self, part: Float[Tensor, "batch ..."]) -> None:
        """Append float32 features; raises StorageError if the disk is full."""
        try:
            self.file.write(part.cpu().contiguous().numpy().data)
        except OSError as error:
            raise self._full(error) from error

    def mapped(self, images: int, dim: int) -> Float[Tensor, "images dim"]:
        """Return all features, mapped from the file, which exists until nothing uses them; raises StorageError if the disk is full."""
        try:
            self.file.flush()
        except OSError as error:
            raise self._full(error) from error
        with self.file:
            return torch.from_numpy(map_array(self.file, "<f4", (images, dim)))

    def _full(self, error: OSError) -> StorageError:
        return StorageError(
            f"cannot write the features into {self.folder}: {error.strerror or error}; free space or choose --results"
        )
