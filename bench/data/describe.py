"""Describe a loaded data set in lines of text: what is in it, and what was left out."""

import torch

from bench.data.dataset import Dataset
from bench.printable import printable

CLASSES = 10
"""Only the first classes are listed, each with its number of training images."""
_LONGEST_NAME = 40


def description(dataset: Dataset) -> list[str]:
    """Return lines without markup: classes, numbers of images, their size, what was left out, and notes; names are made printable.

    The test labels stay sealed: the numbers of images per class are those of ``train``.
    """
    lines = [_classes(dataset), _images(dataset)]
    if dataset.left_out:
        kinds = ", ".join(f"{printable(kind)} ({count:,})" for kind, count in dataset.left_out.items())
        lines.append(f"left out: {kinds}")
    if dataset.duplicates:
        same = f"{dataset.duplicates:,} of {len(dataset.test_labels):,} {_measured_on(dataset)}"
        lines.append(f"{same}: the same pixels are also in the training images")
    return lines + [printable(note) for note in dataset.notes]


def _classes(dataset: Dataset) -> str:
    counts = torch.bincount(dataset.train_labels, minlength=len(dataset.class_names)).tolist()
    named = zip(dataset.class_names[:CLASSES], counts, strict=False)
    listed = ", ".join(f"{printable(name, _LONGEST_NAME)} ({count:,})" for name, count in named)
    more = len(counts) - CLASSES
    return f"{len(counts)} classes (training images): {listed}" + (f", and {more:,} more" if more > 0 else "")


def _images(dataset: Dataset) -> str:
    unlabelled = 0 if dataset.unlabelled_images is None else len(dataset.unlabelled_images)
    traits = dataset.traits
    colour = "colour" if traits.channels == 3 else "grey"
    return (
        f"{len(dataset.train_labels):,} training images ({len(dataset.val):,} of them val), "
        f"{len(dataset.test_labels):,} {_measured_on(dataset)}, {unlabelled:,} unlabelled; {traits.size}×{traits.size} pixels, {colour}"
    )


def _measured_on(dataset: Dataset) -> str:
    return "validation images to measure on" if dataset.test_labels.development else "test images"
