"""Corruptions of images in batches, on their device: uint8 -> uint8, grey or colour (Hendrycks & Dietterich 2019, arXiv:1903.12261).

They are computed on values from 0 to 1, clipped to this range and rounded.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from protocols.base import Images

SIDE = 32
"""Side in pixels of the images for which the strength of the blur is given."""
PIXELS_AT_ONCE = 512 * 32 * 32
FEWEST = 16
TRUNCATE = 4.0
"""Standard deviations after which the kernel of the blur ends, as in scipy and scikit-image."""


def images_at_once(side: int) -> int:
    """Return how many images of a side are corrupted at once.

    It does not depend on the encoder: noise is drawn for so many images at once, and is the same for every method.
    """
    return max(FEWEST, PIXELS_AT_ONCE // side**2)


def noise(images: Images, strength: float, generator: torch.Generator) -> Images:
    """Add Gaussian noise with a standard deviation of ``strength``, independent for every channel."""
    values = _values(images)
    return _stored(values + strength * torch.randn(values.shape, generator=generator, device=values.device))


def blur(images: Images, strength: float, generator: torch.Generator) -> Images:
    """Blur by a Gaussian of ``strength`` pixels in images of 32 pixels; elsewhere it grows with the square root of the side.

    So it takes away about as much on 8 as on 224 pixels: the strengths of CIFAR-10-C are 0.4 to 1 pixel, those of ImageNet-C 1 to 6. Pixels at
    the edge are repeated beyond it.
    """
    side = images.shape[-1]
    matrix = _blurring(side, strength * math.sqrt(side / SIDE), images.device)
    return _stored(matrix @ _values(images) @ matrix.T)


def contrast(images: Images, strength: float, generator: torch.Generator) -> Images:
    """Move every pixel towards the mean of its channel in its image; ``strength`` is what remains of its distance."""
    values = _values(images)
    mean = values.mean(dim=(2, 3), keepdim=True)
    return _stored(mean + strength * (values - mean))


def brightness(images: Images, strength: float, generator: torch.Generator) -> Images:
    """Add ``strength`` to the value (HSV) of every pixel: its largest channel; hue and saturation stay."""
    values = _values(images)
    value = values.amax(dim=1, keepdim=True)
    raised = (value + strength).clamp(max=1)
    return _stored(torch.where(value > 0, values * (raised / value.clamp_min(1 / 255)), raised))


def shift(images: Images, strength: float, generator: torch.Generator) -> Images:
    """Shift every image in one of eight random directions by ``strength`` of its side, at least one pixel; pixels at the edge are repeated."""
    side, device = images.shape[-1], images.device
    distance = max(1, math.floor(strength * side + 0.5))
    # The cells of a 3 × 3 grid without its centre.
    cell = torch.randint(0, 8, (len(images),), generator=generator, device=device)
    cell = cell + (cell >= 4)
    pixels = torch.arange(side, device=device)
    rows, columns = ((pixels - distance * (steps - 1)[:, None]).clamp(0, side - 1) for steps in (cell // 3, cell % 3))
    image = torch.arange(len(images), device=device)[:, None, None]
    return images[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


Corruption = Callable[[Images, float, torch.Generator], Images]
CORRUPTIONS: dict[str, Corruption] = {
    "noise": noise,
    "blur": blur,
    "contrast": contrast,
    "brightness": brightness,
    "shift": shift,
}


def _values(images: Images) -> Float[Tensor, "images channels size size"]:
    return images.float().div_(255)


def _stored(values: Float[Tensor, "images channels size size"]) -> Images:
    return values.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def _blurring(side: int, deviation: float, device: torch.device) -> Float[Tensor, "side side"]:
    """Return the matrix that blurs a line of pixels."""
    reach = int(TRUNCATE * deviation + 0.5)
    offsets = torch.arange(-reach, reach + 1, device=device)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()
    pixels = torch.arange(side, device=device)
    sources = (pixels[:, None] + offsets).clamp(0, side - 1)
    return ((sources[:, :, None] == pixels) * kernel[:, None]).sum(dim=1)
