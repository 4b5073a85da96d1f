"""The MNIST family: idx files, gzipped or not."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from bench.data.locate import present
from bench.data.raw import Labels, Pixels, RawData
from bench.errors import SslbenchError

MAX_BYTES = 64 * 2**20
"""The largest file of the family has 47 MB; a gzip file that unpacks to more is not read further."""
CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}  # fmt: skip


def read(name: str, folder: Path, size: int) -> RawData:
    """Return one set of the family from the folder of its four files; ``size`` is not used.

    Raises:
        SslbenchError: A file is missing, corrupt or truncated, or the numbers of images and labels differ.
    """
    train_images, train_labels = _part(folder, "train", len(CLASS_NAMES[name]))
    test_images, test_labels = _part(folder, "t10k", len(CLASS_NAMES[name]))
    return RawData(CLASS_NAMES[name], train_images, train_labels, test_images, test_labels)


def read_idx(path: Path, dimensions: int) -> Pixels:
    """Return the bytes of an idx file as an array with ``dimensions`` dimensions (format: LeCun's MNIST page).

    Raises:
        SslbenchError: The file cannot be read, is not an idx file of bytes, or does not have the size that its header states.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as cause:
        raise SslbenchError(f"{path} cannot be read ({cause}): download it again") from cause
    if len(data) > MAX_BYTES:
        raise SslbenchError(
            f"{path} has more than {MAX_BYTES} bytes, more than any file of this data set: download it again"
        )
    start = 4 + 4 * dimensions
    if len(data) < start or data[:4] != bytes([0, 0, 8, dimensions]):
        raise SslbenchError(f"{path} is not an idx file of bytes in {dimensions} dimensions: download it again")
    shape = tuple(int(side) for side in np.frombuffer(data, ">u4", dimensions, 4))
    if len(data) - start != math.prod(shape):
        raise SslbenchError(
            f"{path} is corrupt: it has {len(data) - start} bytes, its header states {math.prod(shape)}: download it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def _part(folder: Path, part: str, classes: int) -> tuple[Pixels, Labels]:
    paths = []
    for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
        path = present(folder / name)
        if path is None:
            raise SslbenchError(f"{folder / name}[.gz] is missing: download it again")
        paths.append(path)
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if len(images) != len(labels):
        raise SslbenchError(
            f"{paths[0]} has {len(images)} images, {paths[1].name} {len(labels)} labels: download them again"
        )
    if labels.size and labels.max() >= classes:
        raise SslbenchError(
            f"{paths[1]} is corrupt: label {labels.max()}, but only {classes} classes: download it again"
        )
    return images[:, None], labels.astype(np.int64)
