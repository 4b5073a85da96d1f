"""The labelled images of one draw, checked; and the standardisation that every head on frozen features shares."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from protocols.base import Task

SMALLEST_DEVIATION = 1e-6
BLOCK = 2048
"""Dimensions that are turned into float64 at once where a figure needs no more."""


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
    """Raise ValueError where a class has no image."""
    counts = torch.bincount(targets, minlength=classes)
    if len(counts) > classes:
        raise ValueError(f"{where}: label {len(counts) - 1} in a task of {classes} classes")
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        raise ValueError(f"{where}: class {missing[0]} has no labelled image; every class needs at least one")


@dataclass(frozen=True)
class Standardisation:
    """Mean and deviation of features, float64; a dimension that hardly varies is dropped.

    Attributes:
        mean: Of each dimension.
        deviation: Of each dimension.
        kept: Which dimensions deviate by at least ``SMALLEST_DEVIATION``.
    """

    mean: Float[Tensor, " dim"]
    deviation: Float[Tensor, " dim"]
    kept: Int[Tensor, " kept"]

    @classmethod
    def of(cls, features: Float[Tensor, "n dim"]) -> "Standardisation":
        """Measure features, in float64.

        Raises:
            ValueError: They are not finite, or no dimension varies.
        """
        blocks = []
        for block in torch.split(features, BLOCK, dim=1):
            wide = block.double()
            if not torch.isfinite(wide).all():
                raise ValueError("features hold values that are not finite; the encoder has diverged")
            blocks.append(torch.std_mean(wide, dim=0, correction=0))
        deviation, mean = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        kept = (deviation >= SMALLEST_DEVIATION).nonzero().flatten()
        if len(kept) == 0:
            raise ValueError("no feature varies over the images; the encoder has collapsed to a constant")
        return cls(mean, deviation, kept)

    def __call__(self, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n kept"]:
        """Return standardised features in float64, without the dropped dimensions."""
        # In place: at 96 pixels the images themselves fill gigabytes in float64.
        return features[:, self.kept].double().sub_(self.mean[self.kept]).div_(self.deviation[self.kept])
