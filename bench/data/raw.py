"""What a reader of files hands over: arrays and labels in the parts in which they are published."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""uint8 N×C×H×W."""
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RawData:
    """A data set before it is split.

    Attributes:
        class_names: In the order of the labels.
        train_images: uint8 N×C×H×W.
        train_labels: int64 N.
        test_images: uint8, or None where there is no official test part.
        test_labels: int64, or None likewise.
        unlabelled_images: uint8, or None.
    """

    class_names: Sequence[str]
    train_images: Pixels
    train_labels: Labels
    test_images: Pixels | None = None
    test_labels: Labels | None = None
    unlabelled_images: Pixels | None = None
