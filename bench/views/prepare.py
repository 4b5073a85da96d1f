"""Prepares uint8 images for an encoder: float32, resized and normalised."""

import functools

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from bench.device import on_device
from methods.base import InputSpec


def prepare(
    images: UInt8[Tensor, "batch channels height width"], spec: InputSpec, device: torch.device | str
) -> Float[Tensor, "batch channels size size"]:
    """Return normalised float32 images on ``device``, resized with antialiasing if the size differs; channels last.

    Grey images get three equal channels if the encoder takes three. Raises ValueError if the encoder takes one channel and the
    images have three.
    """
    if images.shape[1] > spec.channels:
        raise ValueError(f"the encoder takes {spec.channels} channel, the images have {images.shape[1]}")
    floats = on_device(images, torch.device(device)).float().div_(255)
    if floats.shape[2:] != (spec.size, spec.size):
        floats = functional.interpolate(floats, (spec.size, spec.size), mode="bilinear", antialias=True)
    return normalise(floats, spec.mean, spec.std).contiguous(memory_format=torch.channels_last)


def normalise(
    images: Float[Tensor, "*batch channels height width"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "*batch channels height width"]:
    """Subtract the mean and divide by the standard deviation of each channel; grey images get as many channels as ``mean``."""
    offset, scale = _columns(mean, std, images.device)
    return (images - offset) / scale


@functools.lru_cache(maxsize=32)
def _columns(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    offset, scale = (on_device(torch.tensor(values), device).view(-1, 1, 1) for values in (mean, std))
    return offset, scale
