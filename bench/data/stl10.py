"""STL-10: the official binary files, with the 100,000 unlabelled images."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from bench.data.cache import cached, write_blocks
from bench.data.files import file_state
from bench.data.raw import Labels, Pixels, RawData
from bench.errors import SslbenchError

CLASS_NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_SIZE = 96
_BYTES = 3 * _SIZE * _SIZE
_BLOCK = 1024


def read(name: str, folder: Path, size: int) -> RawData:
    """Return STL-10 from the folder ``stl10_binary``, images mapped from the cache; ``name`` and ``size`` are not used.

    Raises:
        SslbenchError: A file is corrupt or truncated, or the cache cannot be written.
    """
    train, test, unlabelled = (_images(folder / f"{part}_X.bin") for part in ("train", "test", "unlabeled"))
    return RawData(
        CLASS_NAMES,
        train,
        _labels(folder / "train_y.bin", len(train)),
        test,
        _labels(folder / "test_y.bin", len(test)),
        unlabelled,
    )


def _images(path: Path) -> Pixels:
    """Return the images of one file: 3 × 96 × 96 bytes each, every channel column by column (format: Coates's STL-10 page)."""
    state = path.stat()
    count, rest = divmod(state.st_size, _BYTES)
    if rest or not count:
        raise SslbenchError(
            f"{path} is truncated: {state.st_size} bytes are not a multiple of the image size {_BYTES}: download it again"
        )

    def blocks() -> Iterator[Pixels]:
        with path.open("rb") as file:
            while data := file.read(_BLOCK * _BYTES):
                stored = np.frombuffer(data, np.uint8).reshape(-1, 3, _SIZE, _SIZE)
                yield np.ascontiguousarray(stored.transpose(0, 1, 3, 2))

    def build(target: IO[bytes]) -> list[str]:
        write_blocks(target, (count, 3, _SIZE, _SIZE), blocks())
        return []

    return cached(f"{path.resolve()} {file_state(state)}", state.st_size, build)[0]


def _labels(path: Path, images: int) -> Labels:
    labels = np.fromfile(path, np.uint8).astype(np.int64) - 1
    if len(labels) != images:
        raise SslbenchError(f"{path} has {len(labels)} labels for {images} images: download it again")
    if labels.min() < 0 or labels.max() >= len(CLASS_NAMES):
        raise SslbenchError(f"{path} is corrupt: a label is not between 1 and {len(CLASS_NAMES)}: download it again")
    return labels
