"""What data sets there are: sizes, traits that cannot be seen from the pixels, budgets, default backbones. Imports no torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bench.errors import unknown

FOLDER = "folder:"
"""What a user's own directory or zip is named by: ``folder:PATH``."""


@dataclass(frozen=True)
class Entry:
    """One data set as it is published.

    Attributes:
        name: What ``--dataset`` takes.
        title: How people call it.
        size: Side of the images in pixels; where they are resized, the default.
        resized: Whether ``--image-size`` changes it.
        channels: 1 or 3; None where the files decide.
        classes: Number of classes; None where the files decide. Likewise the next three.
        train: Images of the official train part.
        test: Images of the official test part; 0 where there is none, so that a stratified fifth of ``train`` is taken.
        unlabelled: Images without a label.
        horizontal_flip: Whether a mirrored image keeps its class.
        backbone: Default backbone.
        epochs: Budget -> epochs over ``train`` and ``unlabelled``.
        source: Paper or origin.
    """

    name: str
    title: str
    size: int
    resized: bool
    channels: int | None
    classes: int | None
    train: int | None
    test: int | None
    unlabelled: int | None
    horizontal_flip: bool
    backbone: str
    epochs: Mapping[str, int]
    source: str


BUDGETS = ("smoke", "quick", "standard", "long")


def _epochs(*epochs: int) -> dict[str, int]:
    return dict(zip(BUDGETS, epochs, strict=True))


_DIGITS = _epochs(2, 20, 60, 200)
_MNIST = _epochs(1, 5, 50, 200)
_COLOUR = _epochs(1, 10, 200, 800)


def _mnist(name: str, title: str, flip: bool, source: str) -> Entry:
    return Entry(name, title, 28, False, 1, 10, 60_000, 10_000, 0, flip, "resnet9_slim", _MNIST, source)


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "digits", "Digits 8×8", 8, False, 1, 10, 1_797, 0, 0, False, "resnet9_slim", _DIGITS,
        "Alpaydin & Kaynak 1998, as scikit-learn ships it",
    ),
    _mnist("mnist", "MNIST", False, "LeCun 1998"),
    _mnist("fashion_mnist", "FashionMNIST", True, "Xiao 2017"),
    _mnist("kmnist", "KMNIST", False, "Clanuwat 2018"),
    Entry("cifar10", "CIFAR-10", 32, False, 3, 10, 50_000, 10_000, 0, True, "resnet18", _COLOUR, "Krizhevsky 2009"),
    Entry("cifar100", "CIFAR-100", 32, False, 3, 100, 50_000, 10_000, 0, True, "resnet18", _COLOUR, "Krizhevsky 2009"),
    Entry("stl10", "STL-10", 96, False, 3, 10, 5_000, 8_000, 100_000, True, "resnet18", _COLOUR, "Coates 2011"),
    Entry(
        "imagenette", "Imagenette", 96, True, 3, 10, 9_469, 3_925, 0, True, "resnet18", _COLOUR,
        "Howard 2019 (fast.ai), version 2, 160 px",
    ),
)  # fmt: skip

FOLDER_ENTRY = Entry(
    f"{FOLDER}PATH", "Your own images", 96, True, None, None, None, None, None, True, "resnet18", _COLOUR,
    "a directory or zip: train/<class>/…, test/<class>/… or val/<class>/…, unlabelled/…; or <class>/… alone",
)  # fmt: skip


def names() -> tuple[str, ...]:
    """Return the names of the published data sets, in the order of the catalogue."""
    return tuple(entry.name for entry in ENTRIES)


def resolve(name: str) -> Entry:
    """Return the entry of a name; ``folder:PATH`` has one of its own.

    Raises:
        SslbenchError: The name is unknown; the message has the nearest.
    """
    if name.startswith(FOLDER) and name != FOLDER:
        return FOLDER_ENTRY
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    raise unknown("data set", name, [*names(), FOLDER_ENTRY.name])


def epochs(name: str, budget: str) -> int:
    """Return the epochs of a budget on a data set: PROTOCOLS.md, "Training budgets".

    Args:
        name: As ``--dataset`` takes it.
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
"""Beside each default backbone, the one of methods that need a transformer."""


def default_backbone(name: str, *, transformer: bool = False) -> str:
    """Return the name of the backbone that a data set gets where none is named, of either family."""
    backbone = resolve(name).backbone
    return TRANSFORMER[backbone] if transformer else backbone


def batch_size(train_images: int) -> int:
    """Return the images a step: 256, never more than a quarter of ``train``."""
    return min(256, train_images // 4)
