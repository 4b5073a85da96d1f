"""Steps that turn or mirror the whole image."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.views.step import Pictures, Uniforms, apply_to_hit


@dataclass(frozen=True)
class Flip:
    """Mirror with a probability.

    Attributes:
        dimension: 3 mirrors left and right, 2 top and bottom.
        probability: Of mirroring.
    """

    dimension: int
    probability: float

    @property
    def uniforms(self) -> int:
        """Return 1."""
        return 1

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return images of the same shape."""
        return apply_to_hit(uniforms[:, 0] < self.probability, images, lambda hit: hit.flip(self.dimension))


@dataclass(frozen=True)
class Rotate:
    """Rotate about the centre, counter-clockwise, by the nearest pixel; what comes from outside is black.

    Attributes:
        degrees: Least and largest angle.
        probability: Of rotating.
    """

    degrees: tuple[float, float]
    probability: float = 1.0

    @property
    def uniforms(self) -> int:
        """Return one for the choice and one for the angle."""
        return 2

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return images of the same shape."""
        angle = self.degrees[0] + (self.degrees[1] - self.degrees[0]) * uniforms[:, 1]
        return apply_to_hit(uniforms[:, 0] < self.probability, images, rotate, angle)


def rotate(images: Pictures, degrees: Float[Tensor, " batch"]) -> Pictures:
    """Return images rotated by one angle each, counter-clockwise, nearest pixel, black outside (Pillow's ``rotate``)."""
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
