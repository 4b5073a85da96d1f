"""``RawData`` -> ``Dataset``: splits, traits, fingerprint."""

import hashlib
from dataclasses import replace

import numpy as np
import torch

from bench.data.dataset import Dataset, SealedLabels
from bench.data.mapped import image_blocks
from bench.data.raw import RawData
from bench.data.splits import TEST, VAL, stratified
from bench.errors import SslbenchError
from methods.traits import Traits
from protocols.base import StoredImages

MIN_TRAIN_IMAGES = 8
"""A batch is at most a quarter of ``train``, and batch normalisation needs two images."""
_MIN_STD = 1 / 255


def assemble(name: str, raw: RawData, horizontal_flip: bool) -> Dataset:
    """Split raw data and compute its traits and fingerprint.

    Args:
        name: Name of the data set, for records and errors.
        raw: Images and labels. If there is no test part, a stratified fifth of ``train`` becomes the test part.
        horizontal_flip: Whether a mirrored image keeps its class.

    Raises:
        SslbenchError: There is a single class, a class is too small, or there are too few images.
    """
    if len(raw.class_names) < 2:
        raise SslbenchError(f"{name} has a single class: a benchmark of representations needs at least two")
    try:
        raw = _with_test_part(raw)
        _, val = stratified(raw.train_labels, VAL, "val", raw.class_names)
    except SslbenchError as cause:
        raise SslbenchError(f"{name}: {cause}") from cause
    assert raw.test_images is not None and raw.test_labels is not None
    unlabelled = 0 if raw.unlabelled_images is None else len(raw.unlabelled_images)
    return Dataset(
        name=name,
        fingerprint=fingerprint(raw, horizontal_flip),
        traits=traits(name, torch.from_numpy(raw.train_images), len(raw.class_names), unlabelled, horizontal_flip),
        class_names=tuple(raw.class_names),
        train_images=torch.from_numpy(raw.train_images),
        train_labels=torch.from_numpy(raw.train_labels),
        test_images=torch.from_numpy(raw.test_images),
        test_labels=SealedLabels(torch.from_numpy(raw.test_labels)),
        unlabelled_images=None if raw.unlabelled_images is None else torch.from_numpy(raw.unlabelled_images),
        val=torch.from_numpy(val),
        left_out=dict(raw.left_out),
        notes=tuple(raw.notes),
    )


def traits(name: str, train: StoredImages, classes: int, unlabelled: int, horizontal_flip: bool) -> Traits:
    """Return the traits of a data set; mean and standard deviation are exact, over all pixels of ``train``.

    Args:
        name: Name of the data set, for errors.
        train: The images of ``train``.
        classes: Number of classes.
        unlabelled: Number of images without a label.
        horizontal_flip: Whether a mirrored image keeps its class.

    Raises:
        SslbenchError: ``train`` has fewer than ``MIN_TRAIN_IMAGES`` images.
    """
    if len(train) < MIN_TRAIN_IMAGES:
        raise SslbenchError(f"{name} has {len(train)} train images, fewer than {MIN_TRAIN_IMAGES}: add images")
    counts = np.zeros((train.shape[1], 256))
    for block in image_blocks(train):
        for channel in range(train.shape[1]):
            counts[channel] += np.bincount(block[:, channel].numpy().ravel(), minlength=256)
    weights, levels = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = weights @ levels
    std = np.sqrt((weights * (levels - mean[:, None]) ** 2).sum(1))
    return Traits(
        channels=train.shape[1],
        size=train.shape[2],
        classes=classes,
        mean=tuple(mean.tolist()),
        std=tuple(np.maximum(std, _MIN_STD).tolist()),
        horizontal_flip=horizontal_flip,
        images=len(train) + unlabelled,
        train=len(train),
    )


def fingerprint(raw: RawData, horizontal_flip: bool) -> str:
    """Return a hex hash of all pixels, all labels and ``horizontal_flip``."""
    digest = hashlib.blake2b(f"flip {horizontal_flip}".encode(), digest_size=16)
    for array in (
        raw.train_images,
        raw.train_labels,
        raw.test_images,
        raw.test_labels,
        raw.unlabelled_images,
    ):
        digest.update(f"|{None if array is None else array.shape}|".encode())
        if array is None:
            continue
        if array.dtype == np.uint8:
            for block in image_blocks(torch.from_numpy(array)):
                digest.update(block.contiguous().numpy().data)
        else:
            digest.update(array.astype("<i8").data)
    return digest.hexdigest()


def _with_test_part(raw: RawData) -> RawData:
    if raw.test_images is not None:
        return raw
    keep, test = stratified(raw.train_labels, TEST, "test", raw.class_names)
    return replace(
        raw,
        train_images=raw.train_images[keep],
        train_labels=raw.train_labels[keep],
        test_images=raw.train_images[test],
        test_labels=raw.train_labels[test],
    )
