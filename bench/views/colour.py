"""Colour transforms of a batch: colour jitter, greyscale, solarisation."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.views.step import FloatImages, Uniforms, apply_to_selected

Range = tuple[float, float]
Factors = Float[Tensor, " batch"]


def luma(images: FloatImages) -> Float[Tensor, "batch 1 height width"]:
    """Return the ITU-R 601-2 luma, as Pillow's ``convert("L")``; images with one channel are returned unchanged."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(1)


def shift_hue(images: FloatImages, shift: Factors) -> FloatImages:
    """Return images with the hue rotated by ``shift`` (1 is the whole circle); images with one channel are unchanged."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    least, largest = images.amin(1), images.amax(1)
    spread = largest - least
    scale = spread.clamp(min=1e-12).reciprocal_()
    hue = torch.where(
        largest == red,
        (green - blue) * scale,
        torch.where(largest == green, (blue - red) * scale + 2, (red - green) * scale + 4),
    )
    turns = hue.div_(6).add_(shift[:, None, None])
    hue = turns.sub_(turns.floor()).mul_(6)
    shifted = torch.stack([(hue - 3).abs_() - 1, 2 - (hue - 2).abs_(), 2 - (hue - 4).abs_()], dim=1)
    return shifted.clamp_(0, 1).mul_(spread.unsqueeze(1)).add_(least.unsqueeze(1))


@dataclass(frozen=True)
class ColourJitter:
    """torchvision's ``ColorJitter``: four adjustments, in a random order for each image.

    Attributes:
        brightness: Smallest and largest factor, or None for no change.
        contrast: Smallest and largest factor, or None; blends with the mean of the grey image.
        saturation: Smallest and largest factor, or None; blends with the grey image.
        hue: Smallest and largest rotation as a part of the circle, or None.
    """

    brightness: Range | None
    contrast: Range | None
    saturation: Range | None
    hue: Range | None

    @property
    def uniforms(self) -> int:
        """Return 8: three for the order, one for the position of the hue, four for the factors."""
        return 8

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return images of the same shape, clamped to [0, 1] after each adjustment."""
        return jitter(images, *self.parameters(uniforms, grey=images.shape[1] == 1))

    def parameters(
        self, uniforms: Uniforms, grey: bool = False
    ) -> tuple[Int[Tensor, "batch adjustments"], Int[Tensor, " batch"] | None, Float[Tensor, "batch 3"], Factors]:
        """Return the order, the position of the hue and the factors for ``jitter``; grey images have no saturation and no hue."""
        hue_position = (uniforms[:, 3] * 4).long() if self.hue and not grey else None
        only_brightness_and_contrast = hue_position is None and (grey or self.saturation is None)
        order = uniforms[:, : 2 if only_brightness_and_contrast else 3].argsort(1)
        factors = torch.stack(
            [
                torch.ones_like(uniform) if bounds is None else bounds[0] + (bounds[1] - bounds[0]) * uniform
                for bounds, uniform in zip(
                    (self.brightness, self.contrast, self.saturation), uniforms[:, 4:7].unbind(1), strict=True
                )
            ],
            dim=1,
        )
        low, high = self.hue or (0.0, 0.0)
        return order, hue_position, factors, low + (high - low) * uniforms[:, 7]


def jitter(
    images: FloatImages,
    order: Int[Tensor, "batch adjustments"],
    hue_position: Int[Tensor, " batch"] | None,
    factors: Float[Tensor, "batch 3"],
    hue: Factors,
) -> FloatImages:
    """Adjust brightness (0), contrast (1) and saturation (2) in the given order, and the hue at ``hue_position``.

    The first three are the same blend: with black, with the mean of the grey image or with the grey image. So images with
    different orders can be computed as one batch.

    Args:
        images: Images in [0, 1].
        order: A permutation of 0, 1, 2 for each image, or of 0, 1 if the saturation does not change.
        hue_position: Number of the other adjustments before the hue; None leaves the hue unchanged.
        factors: Factors of brightness, contrast and saturation; 1 changes nothing.
        hue: Rotation of the hue, as a part of the circle.
    """
    adjustments = order.shape[1]
    for position in range(adjustments + 1):
        if hue_position is not None:
            images = apply_to_selected(hue_position == position, images, shift_hue, hue)
        if position < adjustments:
            operation = order[:, position]
            factor = factors.gather(1, operation[:, None]).squeeze(1)
            to_mean = (1 - factor) * (operation == 1)
            to_grey = (1 - factor) * (operation == 2)
            images = _blend(images, factor, to_mean, to_grey)
    return images


def _blend(images: FloatImages, factor: Factors, to_mean: Factors, to_grey: Factors) -> FloatImages:
    grey = luma(images)
    target = grey.mean((2, 3), keepdim=True) * to_mean[:, None, None, None]
    if images.shape[1] == 1:
        factor = factor + to_grey
    else:
        target = target + grey * to_grey[:, None, None, None]
    return (images * factor[:, None, None, None]).add_(target).clamp_(0, 1)


@dataclass(frozen=True)
class Grey:
    """Replace the colours by the grey image, with a probability; images with one channel are unchanged."""

    probability: float

    @property
    def uniforms(self) -> int:
        """Return 1."""
        return 1

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return images of the same shape."""
        if images.shape[1] == 1:
            return images
        return apply_to_selected(
            uniforms[:, 0] < self.probability, images, lambda colour: luma(colour).repeat(1, 3, 1, 1)
        )


@dataclass(frozen=True)
class OneChannel:
    """Convert to images with one grey channel."""

    @property
    def uniforms(self) -> int:
        """Return 0."""
        return 0

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return B×1×H×W."""
        return luma(images)


@dataclass(frozen=True)
class Solarise:
    """Invert the pixels that are at least as bright as a threshold, with a probability.

    Attributes:
        threshold: On the uint8 scale; values that round to it or above are inverted.
        probability: Probability of solarising an image.
    """

    threshold: float
    probability: float

    @property
    def uniforms(self) -> int:
        """Return 1."""
        return 1

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return images of the same shape."""
        bound = (self.threshold - 0.5) / 255
        return apply_to_selected(
            uniforms[:, 0] < self.probability, images, lambda chosen: torch.where(chosen >= bound, 1 - chosen, chosen)
        )
