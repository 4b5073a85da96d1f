"""A source's arrays -> a ``Dataset``: splits, traits, fingerprint."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from bench.data.dataset import Dataset, SealedLabels
from bench.data.raw import Labels, Pixels, RawData
from bench.data.splits import TEST, VAL, stratified
from bench.errors import SslbenchError
from methods.traits import Traits

LEAST_TRAIN = 8
"""A batch is never more than a quarter of ``train``, and batch normalisation needs two images."""
_LEAST_STD = 1 / 255
_BLOCK = 1024


def assemble(name: str, source: RawData, horizontal_flip: bool) -> Dataset:
    """Split a source and describe it.

    Args:
        name: Of the data set, for records and errors.
        source: What was read. Without a test part, a stratified fifth of ``train`` becomes it.
        horizontal_flip: Whether a mirrored image keeps its class.

    Raises:
        SslbenchError: It has one class, a class too small, or too few images.
    """
    if len(source.class_names) < 2:
        raise SslbenchError(f"{name} has a single class: a benchmark of representations needs at least two")
    try:
        source = _with_test_part(source)
        _, val = stratified(source.train_labels, VAL, "val", source.class_names)
    except SslbenchError as cause:
        raise SslbenchError(f"{name}: {cause}") from cause
    assert source.test_images is not None and source.test_labels is not None
    return Dataset(
        name=name,
        fingerprint=fingerprint(source, horizontal_flip),
        traits=traits(name, source, horizontal_flip),
        class_names=tuple(source.class_names),
        train_images=torch.from_numpy(source.train_images),
        train_labels=torch.from_numpy(source.train_labels),
        test_images=torch.from_numpy(source.test_images),
        test_labels=SealedLabels(torch.from_numpy(source.test_labels)),
        unlabelled_images=None if source.unlabelled_images is None else torch.from_numpy(source.unlabelled_images),
        val=torch.from_numpy(val),
    )


def traits(name: str, source: RawData, horizontal_flip: bool) -> Traits:
    """Return what views and heads may know; mean and deviation are exact sums over all pixels of ``train``.

    Raises:
        SslbenchError: There are fewer than ``LEAST_TRAIN`` images of ``train``.
    """
    train = source.train_images
    if len(train) < LEAST_TRAIN:
        raise SslbenchError(f"{name} has {len(train)} images of train, fewer than {LEAST_TRAIN}: add images")
    counts = np.zeros((train.shape[1], 256))
    for block in _blocks(train):
        for channel in range(train.shape[1]):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    weights, levels = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = weights @ levels
    std = np.sqrt((weights * (levels - mean[:, None]) ** 2).sum(1))
    unlabelled = 0 if source.unlabelled_images is None else len(source.unlabelled_images)
    return Traits(
        channels=train.shape[1],
        size=train.shape[2],
        classes=len(source.class_names),
        mean=tuple(mean.tolist()),
        std=tuple(np.maximum(std, _LEAST_STD).tolist()),
        horizontal_flip=horizontal_flip,
        images=len(train) + unlabelled,
        train=len(train),
    )


def fingerprint(source: RawData, horizontal_flip: bool) -> str:
    """Return a hex hash of all pixels, all labels and what else changes the task."""
    digest = hashlib.blake2b(f"flip {horizontal_flip}".encode(), digest_size=16)
    for array in (
        source.train_images,
        source.train_labels,
        source.test_images,
        source.test_labels,
        source.unlabelled_images,
    ):
        digest.update(f"|{None if array is None else array.shape}|".encode())
        if array is not None:
            for block in _blocks(array if array.dtype == np.uint8 else array.astype("<i8")):
                digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def _with_test_part(source: RawData) -> RawData:
    if source.test_images is not None:
        return source
    keep, test = stratified(source.train_labels, TEST, "test", source.class_names)
    return replace(
        source,
        train_images=source.train_images[keep],
        train_labels=source.train_labels[keep],
        test_images=source.train_images[test],
        test_labels=source.train_labels[test],
    )


def _blocks(array: Pixels | Labels) -> Iterator[Pixels | Labels]:
    for start in range(0, len(array), _BLOCK):
        yield array[start : start + _BLOCK]
