"""The development task: ``train∖val`` replaces ``train`` and ``val`` replaces ``test``. Everything is tuned on this task only.

Where ``val`` is too small to choose on, ``sslbench tune`` uses five folds of ``train`` instead.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from bench.data.assemble import traits
from bench.data.dataset import Dataset, SealedLabels
from bench.data.splits import VAL, folds, stratified
from bench.errors import SslbenchError
from protocols.selection import selected

FEW_IMAGES = 100
"""With fewer test images one answer changes a score by more than a point, and a choice between settings follows chance."""

FOLDS = 5
"""Number of folds of ``train``."""


def development(dataset: Dataset) -> Dataset:
    """Return the development task of a data set (`protocols/README.md`, "Splits"). It does not contain the data set's test part.

    Its label sets are drawn from its ``train_labels``; its ``val`` is a stratified tenth of its ``train``.

    Raises:
        SslbenchError: A class is too small to be split again, or too few images remain.
    """
    notes = _too_few(len(dataset.val))
    return _with_own_val(val_as_test(dataset), f"{dataset.fingerprint} development", "development task", notes)


def fold_as_test(dataset: Dataset, number: int) -> Dataset:
    """Return a development task in which one of ``FOLDS`` stratified folds of ``train`` replaces ``test``, and the others ``train``.

    It does not contain the data set's test part, and each image of ``train`` is measured in exactly one fold.

    Args:
        dataset: The data set.
        number: Number of the fold, from 1.

    Raises:
        SslbenchError: A class is too small, or too few images remain.
    """
    inside = torch.from_numpy(folds(dataset.train_labels.numpy(), FOLDS, dataset.class_names) == number - 1)
    named = replace(dataset, name=fold_name(dataset.name, number))
    task = _measured_on(named, (~inside).nonzero().flatten(), inside.nonzero().flatten())
    return _with_own_val(task, f"{dataset.fingerprint} fold {number} of {FOLDS}", f"fold {number}")


def fold_name(name: str, number: int) -> str:
    """Return the name of a fold in records, which differs from that of its data set and of the other folds."""
    return f"{name}-fold-{number}"


def _with_own_val(task: Dataset, identified_by: str, called: str, notes: Sequence[str] = ()) -> Dataset:
    """Return a task with the traits and the fingerprint of its own images, and with a stratified tenth of its ``train`` as ``val``."""
    try:
        _, new_val = stratified(task.train_labels.numpy(), VAL, "val", task.class_names)
    except SslbenchError as cause:
        raise SslbenchError(f"{task.name}, {called}: {cause}") from cause
    unlabelled = 0 if task.unlabelled_images is None else len(task.unlabelled_images)
    flip = task.traits.horizontal_flip
    return replace(
        task,
        fingerprint=hashlib.blake2b(identified_by.encode(), digest_size=16).hexdigest(),
        traits=traits(f"{task.name}, {called}:", task.train_images, len(task.class_names), unlabelled, flip),
        val=torch.from_numpy(new_val),
        notes=(*task.notes, *notes),
    )


def val_as_test(dataset: Dataset) -> Dataset:
    """Return a data set in which ``train∖val`` replaces ``train`` and ``val`` replaces ``test``, and no images are kept for choices.

    It does not contain the data set's test part. The development task itself is returned as it is.
    """
    if dataset.test_labels.development:
        return dataset
    return _measured_on(dataset, dataset.fit, dataset.val)


def _measured_on(dataset: Dataset, kept: Int[Tensor, " kept"], taken: Int[Tensor, " taken"]) -> Dataset:
    """Return a data set whose ``train`` and ``test`` are the images at these positions of ``train``, without a ``val``."""
    return replace(
        dataset,
        train_images=selected([dataset.train_images], kept),
        train_labels=dataset.train_labels[kept],
        test_images=selected([dataset.train_images], taken),
        test_labels=SealedLabels(dataset.train_labels[taken], development=True),
        val=torch.empty(0, dtype=torch.int64),
    )


def _too_few(images: int) -> tuple[str, ...]:
    if images >= FEW_IMAGES:
        return ()
    return (
        f"the development task measures on only {images} validation images, and one answer changes a score by {100 / images:.0f} points: "
        "too few to choose settings on",
    )
