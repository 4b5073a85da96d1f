"""The data set of a command in words: the first lines of every plan."""

from collections import Counter

from bench.data.dataset import Dataset
from bench.printable import printable

CLASSES_SHOWN = 10


def description(dataset: Dataset) -> list[str]:
    """Return lines about a data set: classes with counts, and the numbers of images in its parts."""
    counts = Counter(dataset.train_labels.tolist())
    shown = [f"{printable(name)} ({counts[label]:,})" for label, name in enumerate(dataset.class_names[:CLASSES_SHOWN])]
    more = len(dataset.class_names) - CLASSES_SHOWN
    rest = f" and {more:,} more" if more > 0 else ""
    unlabelled = "" if dataset.unlabelled_images is None else f", {len(dataset.unlabelled_images):,} without a label"
    traits = dataset.traits
    return [
        f"{len(dataset.class_names)} classes with their training images: {', '.join(shown)}{rest}",
        f"{len(dataset.train_labels):,} training images ({len(dataset.val):,} of them for validation), "
        f"{len(dataset.test_images):,} test images{unlabelled}; {traits.size} × {traits.size} pixels, "
        f"{'grey' if traits.channels == 1 else 'colour'}",
    ]
