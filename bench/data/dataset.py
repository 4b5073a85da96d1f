"""The contract of a data set: uint8 images, labels, traits, splits; test labels under seal."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from methods.traits import Traits

Images = UInt8[Tensor, "images channels size size"]


@dataclass
class SealedLabels:
    """Labels that only ``bench/evaluation/score.py`` opens; counts how often.

    Attributes:
        development: Whether they are those of the development task, where curves may be drawn.
        openings: How often the labels were read.
    """

    _labels: Int[Tensor, " images"] = field(repr=False)
    development: bool = False
    openings: int = 0

    def __len__(self) -> int:
        return len(self._labels)

    def open(self) -> Int[Tensor, " images"]:
        """Return the labels and count the reading."""
        self.openings += 1
        return self._labels


@dataclass(frozen=True)
class Dataset:
    """A task on images: train, test, and what is without labels.

    Attributes:
        name: For records: ``digits``; a folder by its slug and eight hex digits of the fingerprint.
        fingerprint: Hex hash of pixels, labels and what else changes the task.
        traits: What views and heads depend on.
        class_names: In the order of the labels.
        train_images: uint8 N×C×H×W, in memory or mapped from the cache.
        train_labels: int64 N.
        test_images: uint8.
        test_labels: Under seal.
        unlabelled_images: uint8, or None.
        val: Indices into ``train``: a stratified tenth, by a fixed seed.
    """

    name: str
    fingerprint: str
    traits: Traits
    class_names: Sequence[str]
    train_images: Images
    train_labels: Int[Tensor, " train"]
    test_images: Images
    test_labels: SealedLabels
    unlabelled_images: Images | None
    val: Int[Tensor, " val"]

    @property
    def fit(self) -> Int[Tensor, " fit"]:
        """Indices of ``train`` without ``val``, in rising order."""
        keep = torch.ones(len(self.train_labels), dtype=torch.bool)
        keep[self.val] = False
        return keep.nonzero().flatten()
