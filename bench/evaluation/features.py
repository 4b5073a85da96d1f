"""Encoder to one matrix of features a split: eval mode, float32, in batches on the device."""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bench import seeds
from bench.device import exact_float32
from bench.errors import Diverged
from methods.base import Encoder

Images = UInt8[Tensor, "images channels size size"]
PIXELS_AT_ONCE = 512 * 32 * 32
"""Pixels (all channels as one) of a batch: 512 images of 32 pixels."""


def batch_at(size: int) -> int:
    """Return how many images of ``size`` pixels pass through an encoder at once."""
    return max(16, PIXELS_AT_ONCE // size**2)


@torch.no_grad()
def extract(
    encoder: Encoder,
    images: Images,
    prepare: Callable[[Images], Tensor],
    on_batch: Callable[[int], None] = lambda done: None,
) -> Float[Tensor, "images dim"]:
    """Return the float32 features of all images on the encoder's device.

    Args:
        encoder: On its device; its mode is restored afterwards.
        images: uint8, anywhere.
        prepare: uint8 images to normalised float32 images on the device.
        on_batch: Told how many images are done.

    Raises:
        Diverged: A feature is not finite.
    """
    was_training = encoder.training
    encoder.eval()
    step = batch_at(encoder.input.size)
    parts = []
    with exact_float32():
        for start in range(0, len(images), step):
            parts.append(encoder.features(prepare(images[start : start + step])).float())
            on_batch(min(start + step, len(images)))
    encoder.train(was_training)
    features = torch.cat(parts)
    if not bool(torch.isfinite(features).all()):
        raise Diverged("the encoder's features are not finite")
    return features


@torch.no_grad()
def calibrate_batch_norm(encoder: Encoder, images: Images, prepare: Callable[[Images], Tensor]) -> None:
    """Give an untrained network running statistics from one pass over the images (a cumulative mean of the batches)."""
    norms = [m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    encoder.train()
    step = batch_at(encoder.input.size)
    # In a fixed random order: a folder is sorted by class, and a batch of one class varies too little.
    order = torch.randperm(len(images), generator=seeds.generator(0, "statistics"))
    with exact_float32():
        for chosen in torch.split(order, step):
            if len(chosen) > 1:
                encoder.features(prepare(images[chosen]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()


def fresh_copy(encoder: Encoder) -> Encoder:
    """Return a copy in eval mode that can be trained; what its method never trains (fixed positions) stays as it is."""
    twin = copy.deepcopy(encoder).eval()
    if not any(parameter.requires_grad for parameter in twin.parameters()):
        twin.requires_grad_(True)
    return twin
