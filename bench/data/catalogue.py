"""The data sets: sizes, files, readers, downloads, training budgets and default backbones. Imports no torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.errors import unknown

FOLDER = "folder:"
"""Prefix of a user's own directory or archive: ``folder:PATH``."""


@dataclass(frozen=True)
class Download:
    """How torchvision downloads a data set.

    Attributes:
        torchvision: Name of the class in ``torchvision.datasets``.
        arguments: Keyword arguments of the class, other than ``root`` and ``download``.
    """

    torchvision: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """One form in which the files of a data set are published.

    Attributes:
        folder: Folder of the files, relative to the data root.
        files: Required files or folders in it; each may also have the suffix ``.gz``.
        largest: Largest image size for which no image has to be enlarged; None if there is no limit.
        download: How this form is downloaded; None if the user has to fetch it.
    """

    folder: str
    files: tuple[str, ...]
    largest: int | None = None
    download: Download | None = None

    def fits(self, image_size: int) -> bool:
        """Return whether this form provides images of this size without enlarging them."""
        return self.largest is None or image_size <= self.largest


BUDGETS = ("smoke", "quick", "standard", "long")


def _epochs(*epochs: int) -> dict[str, int]:
    return dict(zip(BUDGETS, epochs, strict=True))


_EPOCHS_DIGITS = _epochs(2, 20, 60, 200)
_EPOCHS_MNIST = _epochs(1, 5, 50, 200)
_EPOCHS_COLOUR = _epochs(1, 10, 200, 800)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One data set. A new data set is one entry here and one reader.

    Attributes:
        name: Value of ``--dataset``.
        title: Name in tables.
        source: Paper or origin.
        reader: Module of ``bench.data`` with a function ``read(name, folder, size) -> RawData``, imported when the data set is loaded.
            ``folder`` is the folder of one of ``forms``, or None if ``package`` is set.
        forms: Forms of the files, the preferred one first; the last one must fit every image size.
        prefix: Start of ``--dataset`` for a form of a user's own images, for example ``folder:``; None for a published set.
        is_path: Whether a path follows the prefix; otherwise a name does, and ``read`` receives the folder of the data sets.
        package: Installed package that contains the images, instead of files; None otherwise.
        size: Side of the images in pixels; the default if ``resizable``.
        resizable: Whether ``--image-size`` applies.
        channels: 1 or 3; None if it depends on the files.
        classes: Number of classes; None if it depends on the files.
        train: Number of images of the official train part; None if it depends on the files.
        test: Number of images of the official test part; 0 if there is none: a stratified fifth of ``train`` is then used. None if it
            depends on the files.
        unlabelled: Number of images without a label; None if it depends on the files.
        horizontal_flip: Whether a mirrored image keeps its class.
        taken_from: Data set from which the images were taken, if it is one that encoders are often pretrained on; else None.
        backbone: Default backbone.
        epochs: Epochs over ``train`` and ``unlabelled`` for each budget.
    """

    name: str
    title: str
    source: str
    reader: str
    prefix: str | None = None
    is_path: bool = True
    forms: tuple[Form, ...] = ()
    package: str | None = None
    size: int
    resizable: bool = False
    channels: int | None
    classes: int | None
    train: int | None
    test: int | None
    unlabelled: int | None = 0
    horizontal_flip: bool
    taken_from: str | None = None
    backbone: str = "resnet18"
    epochs: Mapping[str, int] = field(default_factory=_EPOCHS_COLOUR.copy)


def _mnist(name: str, title: str, source: str, *, torchvision: str, horizontal_flip: bool) -> Entry:
    files = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return Entry(
        name=name,
        title=title,
        source=source,
        reader="mnist",
        forms=(Form(f"{torchvision}/raw", files, download=Download(torchvision)),),
        size=28,
        channels=1,
        classes=10,
        train=60_000,
        test=10_000,
        horizontal_flip=horizontal_flip,
        backbone="resnet9_slim",
        epochs=_EPOCHS_MNIST,
    )


_CIFAR10_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="digits",
        title="Digits 8×8",
        source="Alpaydin & Kaynak 1998, as scikit-learn ships it",
        reader="digits",
        package="scikit-learn",
        size=8,
        channels=1,
        classes=10,
        train=1_797,
        test=0,
        horizontal_flip=False,
        backbone="resnet9_slim",
        epochs=_EPOCHS_DIGITS,
    ),
    _mnist("mnist", "MNIST", "LeCun 1998", torchvision="MNIST", horizontal_flip=False),
    _mnist("fashion_mnist", "FashionMNIST", "Xiao 2017", torchvision="FashionMNIST", horizontal_flip=True),
    _mnist("kmnist", "KMNIST", "Clanuwat 2018", torchvision="KMNIST", horizontal_flip=False),
    Entry(
        name="cifar10",
        title="CIFAR-10",
        source="Krizhevsky 2009",
        reader="cifar",
        forms=(
            Form("cifar-10-batches-bin", tuple(f"{file}.bin" for file in _CIFAR10_FILES)),
            Form("cifar-10-batches-py", _CIFAR10_FILES, download=Download("CIFAR10")),
        ),
        size=32,
        channels=3,
        classes=10,
        train=50_000,
        test=10_000,
        horizontal_flip=True,
    ),
    Entry(
        name="cifar100",
        title="CIFAR-100",
        source="Krizhevsky 2009",
        reader="cifar",
        forms=(
            Form("cifar-100-binary", ("train.bin", "test.bin")),
            Form("cifar-100-python", ("train", "test"), download=Download("CIFAR100")),
        ),
        size=32,
        channels=3,
        classes=100,
        train=50_000,
        test=10_000,
        horizontal_flip=True,
    ),
    Entry(
        name="stl10",
        title="STL-10",
        source="Coates 2011",
        reader="stl10",
        forms=(
            Form(
                "stl10_binary",
                ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"),
                download=Download("STL10", {"split": "unlabeled"}),
            ),
        ),
        size=96,
        channels=3,
        classes=10,
        train=5_000,
        test=8_000,
        unlabelled=100_000,
        horizontal_flip=True,
        taken_from="ImageNet",
    ),
    Entry(
        name="imagenette",
        title="Imagenette",
        source="Howard 2019 (fast.ai), version 2, 160 px",
        reader="imagenette",
        forms=(
            Form("imagenette2-160", ("train", "val"), 160, Download("Imagenette", {"size": "160px"})),
            Form("imagenette2-320", ("train", "val"), 320, Download("Imagenette", {"size": "320px"})),
            Form("imagenette2", ("train", "val"), None, Download("Imagenette", {"size": "full"})),
        ),
        size=96,
        resizable=True,
        channels=3,
        classes=10,
        train=9_469,
        test=3_925,
        horizontal_flip=True,
        taken_from="ImageNet",
    ),
)


def _own(prefix: str, rest: str, title: str, source: str, reader: str, *, is_path: bool = True) -> Entry:
    return Entry(
        name=prefix + rest,
        title=title,
        source=source,
        reader=reader,
        prefix=prefix,
        is_path=is_path,
        size=96,
        resizable=True,
        channels=None,
        classes=None,
        train=None,
        test=None,
        unlabelled=None,
        horizontal_flip=True,
    )


FOLDER_ENTRY = _own(
    FOLDER,
    "PATH",
    "Your own images",
    "a directory, zip, tar or tar.gz: train/<class>/…, test/<class>/… or val/<class>/…, unlabelled/…; or <class>/… alone",
    "folder",
)
OWN_ENTRIES: tuple[Entry, ...] = (
    FOLDER_ENTRY,
    _own(
        "csv:",
        "FILE",
        "Table of images",
        "a CSV or TSV file with columns of paths, labels and, if wanted, parts",
        "table",
    ),
    _own(
        "npz:", "FILE", "Arrays", "an .npz file as MedMNIST ships it: train_images, train_labels, test_images, …", "npz"
    ),
    _own(
        "wds:",
        "PATH",
        "WebDataset",
        "tar shards of image and .cls or .json files: a folder, or a name with * or {000..009}",
        "webdataset",
    ),
    _own(
        "hf:",
        "NAME",
        "Hugging Face datasets",
        "NAME[@SPLIT] on the hub, a folder of Parquet files or of save_to_disk",
        "huggingface",
        is_path=False,
    ),
    _own(
        "torchvision:",
        "NAME",
        "torchvision",
        "a data set of torchvision with one class per image, for example EuroSAT",
        "torchvision_sets",
        is_path=False,
    ),
)
"""The forms of a user's own images."""


def names() -> tuple[str, ...]:
    """Return the names of the published data sets, in the order of the catalogue."""
    return tuple(entry.name for entry in ENTRIES)


def resolve(name: str) -> Entry:
    """Return the entry of a data set; every ``folder:PATH`` has the same one.

    Raises:
        SslbenchError: The name is unknown; the message suggests the nearest one.
    """
    if (entry := own_form(name)) is not None:
        return entry
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    raise unknown("data set", name, [*names(), *(entry.name for entry in OWN_ENTRIES)])


def own_form(name: str) -> Entry | None:
    """Return the form of a user's own images that a name has, for example that of ``folder:PATH``; None for a published set."""
    return next(
        (e for e in OWN_ENTRIES if e.prefix is not None and name.startswith(e.prefix) and name != e.prefix), None
    )


def location(name: str) -> str:
    """Return what follows the prefix in the name of a user's own images: a path, or a name elsewhere."""
    entry = own_form(name)
    return name if entry is None else name.removeprefix(entry.prefix or "")


def epochs(name: str, budget: str) -> int:
    """Return the number of epochs of a budget on a data set (`protocols/README.md`, "Training budgets").

    Args:
        name: Value of ``--dataset``.
        budget: ``smoke``, ``quick``, ``standard``, ``long``, or a number of epochs such as ``100ep``.

    Raises:
        SslbenchError: The data set or the budget is unknown.
    """
    table = resolve(name).epochs
    if budget in table:
        return table[budget]
    if re.fullmatch(r"[1-9][0-9]{0,5}ep", budget):
        return int(budget.removesuffix("ep"))
    raise unknown("budget", budget, BUDGETS, "or a number of epochs such as 100ep")


TRANSFORMER = {"resnet9_slim": "vit_nano", "resnet18": "vit_tiny"}
"""Default convolutional backbone -> default backbone of methods that need a transformer."""


def default_backbone(name: str, *, transformer: bool = False) -> str:
    """Return the name of a data set's default backbone: convolutional, or a transformer."""
    backbone = resolve(name).backbone
    return TRANSFORMER[backbone] if transformer else backbone


def batch_size(images: int) -> int:
    """Return the number of images per step: 256, but at most a quarter of the images that pretraining sees."""
    return min(256, images // 4)
