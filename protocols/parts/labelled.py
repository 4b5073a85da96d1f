"""The labelled images of one draw, and the standardisation of frozen features."""

from dataclasses import dataclass
from typing import overload

import torch
from jaxtyping import Float, Int
from torch import Tensor

from protocols.base import NotFinite, Task
from protocols.parts.rows import Rows, moments

SMALLEST_DEVIATION = 1e-6
"""Dimensions with a smaller standard deviation are dropped."""
BLOCK = 2048
"""Rows or columns that are converted to another precision at once, to save memory."""


def labelled(task: Task, labels: str, draw: int) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Return the indices into ``train`` and the labels of one label set.

    Raises:
        ValueError: A class has no image in it.
    """
    indices = task.label_set(labels, draw)
    targets = task.train_labels[indices]
    require_every_class(targets, task.classes, f"label set {labels}, draw {draw}")
    return indices, targets


def require_every_class(targets: Int[Tensor, " n"], classes: int, where: str) -> None:
    """Raise ValueError if a class has no image; ``where`` names the images in the message."""
    counts = torch.bincount(targets, minlength=classes)
    if len(counts) > classes:
        raise ValueError(f"{where}: label {len(counts) - 1} in a task of {classes} classes; labels start at 0")
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        raise ValueError(f"{where}: class {missing[0]} has no labelled image; every class needs at least one")


@dataclass(frozen=True)
class Standardisation:
    """Standardise features by a mean and a standard deviation per dimension, and drop the dimensions that hardly vary.

    Attributes:
        mean: float64 mean per dimension.
        deviation: float64 standard deviation per dimension.
        kept: Indices of the dimensions with a deviation of at least ``SMALLEST_DEVIATION``.
    """

    mean: Float[Tensor, " dim"]
    deviation: Float[Tensor, " dim"]
    kept: Int[Tensor, " kept"]

    @classmethod
    def of(cls, features: Tensor | Rows) -> "Standardisation":
        """Compute the statistics of features, in float64.

        Raises:
            ValueError: The features are not finite, or no dimension varies.
        """
        if isinstance(features, Rows):
            mean, deviation = moments(features)
        else:
            blocks = [
                torch.std_mean(block.double(), dim=0, correction=0) for block in torch.split(features, BLOCK, dim=1)
            ]
            deviation, mean = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        # The mean is finite only if every number is.
        if not torch.isfinite(mean).all():
            raise NotFinite("features contain values that are not finite; the encoder has diverged")
        kept = (deviation >= SMALLEST_DEVIATION).nonzero().flatten()
        if len(kept) == 0:
            raise ValueError("no feature varies over the images; the encoder has collapsed to a constant")
        return cls(mean, deviation, kept)

    @overload
    def __call__(self, features: Tensor) -> Tensor: ...

    @overload
    def __call__(self, features: Rows) -> Rows: ...

    def __call__(self, features: Tensor | Rows) -> Tensor | Rows:
        """Return standardised features in float64, without the dropped dimensions."""
        if isinstance(features, Rows):
            return features.then(self, len(self.kept))
        # In place: the pixels of 96-pixel images take gigabytes in float64.
        return features[:, self.kept].double().sub_(self.mean[self.kept]).div_(self.deviation[self.kept])
