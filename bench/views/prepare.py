"""uint8 images of a data set -> what an encoder expects."""

import functools

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from methods.base import InputSpec


def prepare(
    images: UInt8[Tensor, "batch channels height width"], spec: InputSpec, device: torch.device | str
) -> Float[Tensor, "batch channels size size"]:
    """Return float32 images on ``device``: resized with antialiasing where the size differs, normalised; channels last.

    Grey images get three equal channels where the encoder takes three; raises ValueError where it takes one and the images
    have three.
    """
    if images.shape[1] > spec.channels:
        raise ValueError(f"the encoder takes {spec.channels} channel, the images have {images.shape[1]}")
    pictures = images.to(device, non_blocking=True).float().div_(255)
    if pictures.shape[2:] != (spec.size, spec.size):
        pictures = functional.interpolate(pictures, (spec.size, spec.size), mode="bilinear", antialias=True)
    return normalise(pictures, spec.mean, spec.std).contiguous(memory_format=torch.channels_last)


def normalise(
    images: Float[Tensor, "*batch channels height width"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "*batch channels height width"]:
    """Return images minus the mean, over the deviation, a channel; grey images spread to as many channels as ``mean`` has."""
    offset, scale = _columns(mean, std, images.device)
    return (images - offset) / scale


@functools.lru_cache(maxsize=32)
def _columns(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    # Kept: a copy to the device for each batch would wait for it.
    return torch.tensor(mean, device=device).view(-1, 1, 1), torch.tensor(std, device=device).view(-1, 1, 1)
