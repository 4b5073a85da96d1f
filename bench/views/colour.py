"""Steps on colours: jitter, grey, solarise."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.views.step import Pictures, Uniforms, apply_to_hit

Range = tuple[float, float]
Factors = Float[Tensor, " batch"]


def luma(images: Pictures) -> Float[Tensor, "batch 1 height width"]:
    """Return the grey image of ITU-R 601-2, as Pillow's ``convert("L")``; a grey image is returned as it is."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(1)


def shift_hue(images: Pictures, shift: Factors) -> Pictures:
    """Return images whose hue is moved round the circle by ``shift`` (1 is the whole circle); grey images as they are."""
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
    """torchvision's ``ColorJitter``: four adjustments, in an order drawn for each image.

    Attributes:
        brightness: Least and largest factor, or None for none.
        contrast: Likewise; towards the mean of the grey image.
        saturation: Likewise; towards the grey image.
        hue: Least and largest part of the circle.
    """

    brightness: Range | None
    contrast: Range | None
    saturation: Range | None
    hue: Range | None

    @property
    def uniforms(self) -> int:
        """Return three for the order, one for the place of the hue, four for the factors."""
        return 8

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return images of the same shape, each adjustment cut off at 0 and 1."""
        return jitter(images, *self.parameters(uniforms, grey=images.shape[1] == 1))

    def parameters(
        self, uniforms: Uniforms, grey: bool = False
    ) -> tuple[Int[Tensor, "batch adjustments"], Int[Tensor, " batch"] | None, Float[Tensor, "batch 3"], Factors]:
        """Return the order, the hue's place and factors that ``jitter`` takes; grey images have neither saturation nor hue."""
        place = (uniforms[:, 3] * 4).long() if self.hue and not grey else None
        brightness_and_contrast_alone = place is None and (grey or self.saturation is None)
        order = uniforms[:, : 2 if brightness_and_contrast_alone else 3].argsort(1)
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
        return order, place, factors, low + (high - low) * uniforms[:, 7]


def jitter(
    images: Pictures,
    order: Int[Tensor, "batch adjustments"],
    hue_place: Int[Tensor, " batch"] | None,
    factors: Float[Tensor, "batch 3"],
    hue: Factors,
) -> Pictures:
    """Adjust brightness (0), contrast (1), saturation (2) in the order given, and the hue somewhere between.

    All three are one blend with black, the mean of the grey image or the grey image, so that images with different orders
    stay in one batch.

    Args:
        images: In [0, 1].
        order: A permutation of 0, 1, 2 for each image, or of 0, 1 where the saturation stays.
        hue_place: How many of the three come before the hue; None leaves the hue alone.
        factors: Of brightness, contrast and saturation: 1 changes nothing.
        hue: Part of the circle.
    """
    adjustments = order.shape[1]
    for place in range(adjustments + 1):
        if hue_place is not None:
            images = apply_to_hit(hue_place == place, images, shift_hue, hue)
        if place < adjustments:
            operation = order[:, place]
            factor = factors.gather(1, operation[:, None]).squeeze(1)
            to_mean = (1 - factor) * (operation == 1)
            to_grey = (1 - factor) * (operation == 2)
            images = _blend(images, factor, to_mean, to_grey)
    return images


def _blend(images: Pictures, factor: Factors, to_mean: Factors, to_grey: Factors) -> Pictures:
    grey = luma(images)
    target = grey.mean((2, 3), keepdim=True) * to_mean[:, None, None, None]
    if images.shape[1] == 1:
        factor = factor + to_grey
    else:
        target = target + grey * to_grey[:, None, None, None]
    return (images * factor[:, None, None, None]).add_(target).clamp_(0, 1)


@dataclass(frozen=True)
class Grey:
    """Replace the colours by the grey image with a probability; nothing happens to grey images."""

    probability: float

    @property
    def uniforms(self) -> int:
        """Return 1."""
        return 1

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return images of the same shape."""
        if images.shape[1] == 1:
            return images
        return apply_to_hit(uniforms[:, 0] < self.probability, images, lambda hit: luma(hit).repeat(1, 3, 1, 1))


@dataclass(frozen=True)
class OneChannel:
    """Replace three channels by the grey image as the only one."""

    @property
    def uniforms(self) -> int:
        """Return 0."""
        return 0

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return B×1×H×W."""
        return luma(images)


@dataclass(frozen=True)
class Solarise:
    """Invert what is at least as bright as the threshold, with a probability.

    Attributes:
        threshold: Of uint8 pixels: what rounds to it or above is inverted.
        probability: Of solarising.
    """

    threshold: float
    probability: float

    @property
    def uniforms(self) -> int:
        """Return 1."""
        return 1

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return images of the same shape."""
        bound = (self.threshold - 0.5) / 255
        return apply_to_hit(
            uniforms[:, 0] < self.probability, images, lambda hit: torch.where(hit >= bound, 1 - hit, hit)
        )
