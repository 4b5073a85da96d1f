"""``RawData``: what a reader returns, images and labels in the parts in which they are published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""uint8 N×C×H×W."""
Labels = npt.NDArray[np.int64]
"""int64 N."""


@dataclass(frozen=True)
class RawData:
    """A data set before it is split.

    Attributes:
        class_names: Class names; a label is an index into them.
        train_images: uint8 N×C×H×W.
        train_labels: int64 N.
        test_images: uint8 M×C×H×W, or None if there is no official test part.
        test_labels: int64 M, or None if there is no official test part.
        unlabelled_images: uint8 U×C×H×W, or None.
        left_out: Kind of file -> number of files that were not read.
        notes: What a user has to know about how the images were read, one line each.
    """

    class_names: Sequence[str]
    train_images: Pixels
    train_labels: Labels
    test_images: Pixels | None = None
    test_labels: Labels | None = None
    unlabelled_images: Pixels | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
