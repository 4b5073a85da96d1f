"""Random flips and rotations of a batch."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.views.step import FloatImages, Uniforms, apply_to_selected


@dataclass(frozen=True)
class Flip:
    """Flip with a probability.

    Attributes:
        dimension: 3 exchanges left and right, 2 exchanges top and bottom.
        probability: Probability of flipping an image.
    """

    dimension: int
    probability: float

    @property
    def uniforms(self) -> int:
        """Return 1."""
        return 1

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return images of the same shape."""
        return apply_to_selected(uniforms[:, 0] < self.probability, images, lambda chosen: chosen.flip(self.dimension))


@dataclass(frozen=True)
class Rotate:
    """Rotate counter-clockwise about the centre, with nearest-neighbour sampling; pixels from outside are black.

    Attributes:
        degrees: Smallest and largest angle.
        probability: Probability of rotating an image.
    """

    degrees: tuple[float, float]
    probability: float = 1.0

    @property
    def uniforms(self) -> int:
        """Return 2: whether to rotate, and the angle."""
        return 2

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return images of the same shape."""
        angle = self.degrees[0] + (self.degrees[1] - self.degrees[0]) * uniforms[:, 1]
        return apply_to_selected(uniforms[:, 0] < self.probability, images, rotate, angle)


def rotate(images: FloatImages, degrees: Float[Tensor, " batch"]) -> FloatImages:
    """Rotate each image counter-clockwise by its own angle, as Pillow's ``rotate``: nearest pixel, black outside."""
    batch, channels, height, width = images.shape
    angle = degrees * (math.pi / 180)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    x = torch.arange(width, device=images.device) + (0.5 - width / 2)
    y = (torch.arange(height, device=images.device) + (0.5 - height / 2))[:, None]
    column = (cosine * x - sine * y + width / 2).floor_()
    row = (sine * x + cosine * y + height / 2).floor_()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    flat = (row.clamp_(0, height - 1) * width + column.clamp_(0, width - 1)).long()
    flat = flat.view(batch, 1, -1).expand(-1, channels, -1)
    return images.reshape(batch, channels, -1).gather(2, flat).view_as(images) * inside[:, None]
