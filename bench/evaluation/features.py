"""Feature extraction: applies an encoder to images in eval mode, in float32 and in batches."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench import seeds
from bench.device import exact_float32
from bench.errors import Diverged
from bench.evaluation.feature_file import stored
from methods.base import Encoder
from protocols.base import Images, StoredImages

PIXELS_PER_BATCH = 512 * 32 * 32
"""Pixels per batch, not counting channels: 512 images of 32 × 32."""


def batch_size(size: int) -> int:
    """Return the number of images of ``size`` × ``size`` pixels per batch."""
    return max(16, PIXELS_PER_BATCH // size**2)


@torch.no_grad()
def extract(
    encoder: Encoder,
    images: StoredImages,
    prepare: Callable[[Images], Tensor],
    on_batch: Callable[[int], None] = lambda done: None,
    folder: Path | None = None,
) -> Float[Tensor, "images dim"]:
    """Return the float32 features of all images: on the encoder's device, or mapped from a file if they are too many for that.

    Args:
        encoder: The encoder on its device; its train or eval mode is restored afterwards.
        images: uint8 images on any device.
        prepare: Maps uint8 images to normalised float32 images on the encoder's device.
        on_batch: Called with the number of images done.
        folder: Folder of the file for features that are too many for memory; None keeps all in memory.

    Raises:
        Diverged: A feature is not finite.
        StorageError: The file cannot be written, for example because the disk is full.
    """
    was_training = encoder.training
    encoder.eval()
    step = batch_size(encoder.input.size)
    finite: list[Tensor] = []

    def parts() -> Iterator[Tensor]:
        for start in range(0, len(images), step):
            part = encoder.features(prepare(images[start : start + step])).float()
            finite.append(torch.isfinite(part).all())
            yield part
            on_batch(min(start + step, len(images)))

    with exact_float32():
        features = stored(parts(), len(images), folder)
    encoder.train(was_training)
    if not bool(torch.stack(finite).all()):
        raise Diverged("the encoder's features are not finite")
    return features


@torch.no_grad()
def calibrate_batch_norm(encoder: Encoder, images: StoredImages, prepare: Callable[[Images], Tensor]) -> None:
    """Set the running statistics of an untrained network to the mean over the batches of one pass over the images."""
    norms = [m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    encoder.train()
    step = batch_size(encoder.input.size)
    # In a fixed random order: folders are sorted by class, and a batch of one class varies too little.
    order = torch.randperm(len(images), generator=seeds.generator(0, "statistics"))
    with exact_float32():
        for chosen in torch.split(order, step):
            if len(chosen) > 1:
                encoder.features(prepare(images[chosen]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()


def fresh_copy(encoder: Encoder) -> Encoder:
    """Return a trainable copy in eval mode; parameters that the method does not train (fixed positions) stay frozen."""
    copied = copy.deepcopy(encoder).eval()
    if not any(parameter.requires_grad for parameter in copied.parameters()):
        copied.requires_grad_(True)
    return copied
