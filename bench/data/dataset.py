"""``Dataset``: uint8 images, labels, traits and splits; the test labels are sealed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from bench.data.mapped import image_blocks
from methods.traits import Traits
from protocols.base import StoredImages


@dataclass
class SealedLabels:
    """Labels that only ``bench/evaluation/score.py`` opens; every opening is counted.

    Attributes:
        development: Whether the labels belong to the development task, for which curves may be drawn.
        openings: How often the labels were read.
    """

    _labels: Int[Tensor, " images"] = field(repr=False)
    development: bool = False
    openings: int = 0

    def __len__(self) -> int:
        return len(self._labels)

    def open(self) -> Int[Tensor, " images"]:
        """Return the labels and count the opening."""
        self.openings += 1
        return self._labels


@dataclass(frozen=True)
class Dataset:
    """A classification task: train and test images with labels, and unlabelled images.

    Attributes:
        name: Name in records: ``digits``; for a folder, its slug and eight hex digits of the fingerprint.
        fingerprint: Hex hash of pixels, labels and whether images may be flipped.
        traits: What views and heads depend on.
        class_names: Class names; a label is an index into them.
        train_images: uint8 N×C×H×W, in memory or mapped from the cache; on the development task of a large set, a ``Selection``.
        train_labels: int64 N.
        test_images: uint8 M×C×H×W.
        test_labels: int64 M, sealed.
        unlabelled_images: uint8 U×C×H×W, or None.
        val: Indices into ``train``: a stratified tenth, drawn with a fixed seed.
        left_out: Kind of file (``.csv files``, ``hidden or generated files``) -> number of files that were not read.
        notes: What a user has to know about how the images were read and split, one line each.
    """

    name: str
    fingerprint: str
    traits: Traits
    class_names: Sequence[str]
    train_images: StoredImages
    train_labels: Int[Tensor, " train"]
    test_images: StoredImages
    test_labels: SealedLabels
    unlabelled_images: StoredImages | None
    val: Int[Tensor, " val"]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @cached_property
    def duplicates(self) -> int:
        """Number of test images whose pixels are equal to those of a training image."""
        train = set(_hashes(self.train_images))
        return sum(digest in train for digest in _hashes(self.test_images))

    def test_images_in(self, other: "Dataset") -> int:
        """Return the number of test images whose pixels are equal to those of an image that pretraining on another data set sees."""
        if self.test_images.shape[1:] != other.train_images.shape[1:]:
            return 0
        seen = set(_hashes(other.train_images))
        if other.unlabelled_images is not None:
            seen |= set(_hashes(other.unlabelled_images))
        return sum(digest in seen for digest in _hashes(self.test_images))

    @property
    def fit(self) -> Int[Tensor, " fit"]:
        """Indices of ``train`` without ``val``, ascending."""
        keep = torch.ones(len(self.train_labels), dtype=torch.bool)
        keep[self.val] = False
        return keep.nonzero().flatten()


def _hashes(images: StoredImages) -> Iterator[bytes]:
    return (
        hashlib.blake2b(image, digest_size=16).digest()
        for block in image_blocks(images)
        for image in block.contiguous().numpy()
    )
