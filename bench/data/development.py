"""The development task: ``train∖val`` replaces ``train`` and ``val`` replaces ``test``. Everything is tuned on this task only."""

import hashlib
from dataclasses import replace

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
    held_out = val_as_test(dataset)
    unlabelled = dataset.unlabelled_images
    try:
        _, new_val = stratified(held_out.train_labels.numpy(), VAL, "val", dataset.class_names)
    except SslbenchError as cause:
        raise SslbenchError(f"{dataset.name}, development task: {cause}") from cause
    return replace(
        held_out,
        fingerprint=hashlib.blake2b(f"{dataset.fingerprint} development".encode(), digest_size=16).hexdigest(),
        traits=traits(
            f"{dataset.name}, development task:",
            held_out.train_images,
            len(dataset.class_names),
            0 if unlabelled is None else len(unlabelled),
            dataset.traits.horizontal_flip,
        ),
        val=torch.from_numpy(new_val),
        notes=(*dataset.notes, *_too_few(len(dataset.val))),
    )


def val_as_test(dataset: Dataset) -> Dataset:
    """Return a data set in which ``train∖val`` replaces ``train`` and ``val`` replaces ``test``, and no images are kept for choices.

    It does not contain the data set's test part. The development task itself is returned as it is.
    """
    if dataset.test_labels.development:
        return dataset
    return replace(
        dataset,
        train_images=selected([dataset.train_images], dataset.fit),
        train_labels=dataset.train_labels[dataset.fit],
        test_images=selected([dataset.train_images], dataset.val),
        test_labels=SealedLabels(dataset.train_labels[dataset.val], development=True),
        val=torch.empty(0, dtype=torch.int64),
    )


def _too_few(images: int) -> tuple[str, ...]:
    if images >= FEW_IMAGES:
        return ()
    return (
        f"the development task measures on only {images} validation images, and one answer changes a score by {100 / images:.0f} points: "
        "too few to choose settings on",
    )
