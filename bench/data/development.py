"""The development task: ``train∖val`` replaces ``train`` and ``val`` replaces ``test``. Everything is tuned on this task only."""

import hashlib

import torch

from bench.data.assemble import traits
from bench.data.dataset import Dataset, SealedLabels
from bench.data.splits import VAL, stratified
from bench.errors import SslbenchError
from protocols.selection import selected

FEW_IMAGES = 100
"""With fewer test images one answer changes a score by more than a point, and a choice between settings follows chance."""


def development(dataset: Dataset) -> Dataset:
    """Return the development task of a data set (`protocols/README.md`, "Splits"). It does not contain the data set's test part.

    Its label sets are drawn from its ``train_labels``; its ``val`` is a stratified tenth of its ``train``.

    Raises:
        SslbenchError: A class is too small to be split again, or too few images remain.
    """
    val = dataset.val
    remains = torch.ones(len(dataset.train_labels), dtype=torch.bool)
    remains[val] = False
    keep = remains.nonzero().squeeze(1)
    images, labels = selected([dataset.train_images], keep), dataset.train_labels[keep]
    unlabelled = dataset.unlabelled_images
    try:
        _, new_val = stratified(labels.numpy(), VAL, "val", dataset.class_names)
    except SslbenchError as cause:
        raise SslbenchError(f"{dataset.name}, development task: {cause}") from cause
    return Dataset(
        name=dataset.name,
        fingerprint=hashlib.blake2b(f"{dataset.fingerprint} development".encode(), digest_size=16).hexdigest(),
        traits=traits(
            f"{dataset.name}, development task:",
            images,
            len(dataset.class_names),
            0 if unlabelled is None else len(unlabelled),
            dataset.traits.horizontal_flip,
        ),
        class_names=dataset.class_names,
        train_images=images,
        train_labels=labels,
        test_images=selected([dataset.train_images], val),
        test_labels=SealedLabels(dataset.train_labels[val], development=True),
        unlabelled_images=unlabelled,
        val=torch.from_numpy(new_val),
        left_out=dataset.left_out,
        notes=(*dataset.notes, *_too_few(len(val))),
    )


def _too_few(images: int) -> tuple[str, ...]:
    if images >= FEW_IMAGES:
        return ()
    return (
        f"the development task measures on only {images} validation images, and one answer changes a score by {100 / images:.0f} points: "
        "too few to choose settings on",
    )
