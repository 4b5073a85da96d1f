"""Pillow's Gaussian blur as two matrix products; it approximates the Gaussian by three box blurs with repeated edges."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.views.resample import Matrices, separable
from bench.views.step import FloatImages, Uniforms, apply_to_selected

_PASSES = 3


@dataclass(frozen=True)
class GaussianBlur:
    """lightly's ``GaussianBlur``: blur with a probability, by a standard deviation drawn uniformly.

    Attributes:
        sigmas: Smallest and largest standard deviation, in pixels.
        probability: Probability of blurring an image.
    """

    sigmas: tuple[float, float]
    probability: float

    @property
    def uniforms(self) -> int:
        """Return 2: whether to blur, and the standard deviation."""
        return 2

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return images of the same shape."""
        sigma = self.sigmas[0] + (self.sigmas[1] - self.sigmas[0]) * uniforms[:, 1]
        return apply_to_selected(uniforms[:, 0] < self.probability, images, gaussian_blur, sigma)


def gaussian_blur(images: FloatImages, sigma: Float[Tensor, " batch"]) -> FloatImages:
    """Return the images, each blurred by its own ``sigma``, as ``PIL.ImageFilter.GaussianBlur(radius=sigma)`` without its rounding."""
    height, width = images.shape[2:]
    rows = blur_matrices(sigma, height)
    return separable(images, rows, rows if width == height else blur_matrices(sigma, width))


def blur_matrices(sigma: Float[Tensor, " batch"], side: int) -> Matrices:
    """Return the B×side×side matrices of three box blurs whose variances add up to ``sigma ** 2``.

    A box of fractional radius r covers 2 r + 1 pixels, the outermost ones partly; each pass repeats the edge pixels.

    Source: Pillow, ``src/libImaging/BoxBlur.c``; Gwosdek et al. 2011, "Theoretical foundations of Gaussian convolution by
    extended box filtering".
    """
    variance = sigma.square() / _PASSES
    whole = ((torch.sqrt(12 * variance + 1) - 1) / 2).floor()
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1).square()))
    radius = (whole + part)[:, None, None]
    pixel = torch.arange(side, device=sigma.device, dtype=torch.float32)
    border = torch.arange(side + 1, device=sigma.device, dtype=torch.float32) - 0.5
    # The share of the box to the left of each border: 0 for the first border, 1 for the last.
    share = ((border - pixel[:, None] + radius + 0.5) / (2 * radius + 1)).clamp_(0, 1)
    share[:, :, 0], share[:, :, -1] = 0, 1
    box = share.diff(dim=2)
    return torch.bmm(torch.bmm(box, box), box)
