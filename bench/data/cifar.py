"""CIFAR-10 and CIFAR-100: the official binary files, or the Python files that torchvision downloads."""

from pathlib import Path

import numpy as np

from bench.data.catalogue import resolve
from bench.data.raw import Labels, Pixels, RawData
from bench.errors import SslbenchError

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "cifar100": tuple(_CIFAR100.split()),
}
_PIXELS = 3 * 32 * 32


def read(name: str, folder: Path, size: int) -> RawData:
    """Return ``cifar10`` or ``cifar100`` from the folder of its binary or its Python files; ``size`` is not used.

    Raises:
        SslbenchError: A file is corrupt or truncated.
    """
    binary = resolve(name).forms[0]
    if folder.name != Path(binary.folder).name:
        return _read_python(name, folder)
    parts = [read_binary(folder / file, len(CLASS_NAMES[name])) for file in binary.files]
    train, (test_images, test_labels) = parts[:-1], parts[-1]
    return RawData(
        CLASS_NAMES[name],
        np.concatenate([images for images, _ in train]),
        np.concatenate([labels for _, labels in train]),
        test_images,
        test_labels,
    )


def read_binary(path: Path, classes: int) -> tuple[Pixels, Labels]:
    """Return images and labels of one binary file (format: Krizhevsky's CIFAR page).

    A record has one label byte (CIFAR-100: two, the coarse and the fine label; the fine one is returned) and 3,072 pixel bytes,
    channel-first.

    Raises:
        SslbenchError: The file cannot be read, is truncated, or contains a label that is out of range.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as cause:
        raise SslbenchError(f"{path} cannot be read ({cause.strerror}): download it again") from cause
    label_bytes = 2 if classes == 100 else 1
    if data.size == 0 or data.size % (label_bytes + _PIXELS):
        raise SslbenchError(
            f"{path} is truncated: {data.size} bytes are not a multiple of the record size {label_bytes + _PIXELS}: download it again"
        )
    records = data.reshape(-1, label_bytes + _PIXELS)
    labels = records[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= classes:
        raise SslbenchError(f"{path} is corrupt: label {labels.max()}, but only {classes} classes: download it again")
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), labels


def _read_python(name: str, folder: Path) -> RawData:
    """Read the pickled files; torchvision checks their MD5 sums before it opens them."""
    from torchvision.datasets import CIFAR10, CIFAR100  # slow to import, and not needed for the binary files

    kind = CIFAR10 if name == "cifar10" else CIFAR100
    try:
        train, test = (kind(folder.parent, train=part) for part in (True, False))
    except RuntimeError as cause:
        raise SslbenchError(f"{folder} is corrupt: the MD5 sum of a file is wrong: download it again") from cause
    return RawData(
        CLASS_NAMES[name],
        np.ascontiguousarray(train.data.transpose(0, 3, 1, 2)),
        np.asarray(train.targets, np.int64),
        np.ascontiguousarray(test.data.transpose(0, 3, 1, 2)),
        np.asarray(test.targets, np.int64),
    )
