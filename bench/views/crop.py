"""Crops and resizing of a batch: random resized crop with flips, resize, centre crop, padded crop."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bench.views.resample import Kernel, enlarge, resize_matrices, separable
from bench.views.step import FloatImages, Uniforms

_TRIES = 10


class Boxes(NamedTuple):
    """One crop box per image, in whole pixels as float32."""

    top: Float[Tensor, " batch"]
    left: Float[Tensor, " batch"]
    height: Float[Tensor, " batch"]
    width: Float[Tensor, " batch"]


def random_boxes(
    uniforms: Uniforms, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Boxes:
    """Return the boxes of torchvision's ``RandomResizedCrop``: the first of ten tries that fits, or else the centre.

    Args:
        uniforms: B×22: ten areas, ten aspect ratios, the top and left positions.
        height: Height of the images.
        width: Width of the images.
        scale: Smallest and largest share of the area.
        ratio: Smallest and largest ratio of width to height; its logarithm is uniform.
    """
    area = height * width * (scale[0] + (scale[1] - scale[0]) * uniforms[:, :_TRIES])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * uniforms[:, _TRIES : 2 * _TRIES])
    widths = torch.sqrt(area * aspect).round_()
    heights = torch.sqrt(area / aspect).round_()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    none = ~fits.any(1)
    centre_height, centre_width = _centre_box(height, width, ratio)
    box_width = torch.where(none, centre_width, widths.gather(1, first).squeeze(1))
    box_height = torch.where(none, centre_height, heights.gather(1, first).squeeze(1))
    top = _random_offset(uniforms[:, 2 * _TRIES], height - box_height)
    left = _random_offset(uniforms[:, 2 * _TRIES + 1], width - box_width)
    top = torch.where(none, (height - centre_height) // 2, top)
    left = torch.where(none, (width - centre_width) // 2, left)
    return Boxes(top, left, box_height, box_width)


def _random_offset(uniform: Float[Tensor, " batch"], largest: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    # The product can round up to largest + 1.
    return torch.minimum((uniform * (largest + 1)).floor_(), largest)


def _centre_box(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def _exactly_one(first: float, second: float) -> float:
    return first * (1 - second) + second * (1 - first)


@dataclass(frozen=True)
class RandomResizedCrop:
    """torchvision's ``RandomResizedCrop`` with antialiasing, followed by random flips.

    Attributes:
        size: Height and width of the result.
        scale: Smallest and largest share of the area.
        ratio: Smallest and largest ratio of width to height.
        kernel: Resampling kernel.
        horizontal_flip: Probability of mirroring left and right.
        vertical_flip: Probability of mirroring top and bottom.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    kernel: Kernel = "bilinear"
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0

    def with_flip(self, dimension: int, probability: float) -> "RandomResizedCrop":
        """Return this crop with another flip along dimension 3 (left and right) or 2; it is combined with an earlier one."""
        if dimension == 3:
            return replace(self, horizontal_flip=_exactly_one(self.horizontal_flip, probability))
        return replace(self, vertical_flip=_exactly_one(self.vertical_flip, probability))

    @property
    def uniforms(self) -> int:
        """Return 24: 22 for the box, 2 for the flips."""
        return 2 * _TRIES + 4

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return B×C×size."""
        height, width = images.shape[2:]
        box, flipped, mirrored = self.parameters(uniforms, height, width)
        if self.kernel == "bilinear" and height <= self.size[0] and width <= self.size[1]:
            return enlarge(images, (box.top, box.height), (box.left, box.width), self.size, flipped, mirrored)
        rows = resize_matrices(box.top, box.height, height, self.size[0], flipped, self.kernel)
        columns = resize_matrices(box.left, box.width, width, self.size[1], mirrored, self.kernel)
        return separable(images, rows, columns, bounded=self.kernel == "bicubic")

    def parameters(
        self, uniforms: Uniforms, height: int, width: int
    ) -> tuple[Boxes, Bool[Tensor, " batch"] | None, Bool[Tensor, " batch"] | None]:
        """Return the boxes, and which results are flipped top to bottom and left to right (None: no image)."""
        box = random_boxes(uniforms, height, width, self.scale, self.ratio)
        flipped = uniforms[:, -2] < self.vertical_flip if self.vertical_flip else None
        mirrored = uniforms[:, -1] < self.horizontal_flip if self.horizontal_flip else None
        return box, flipped, mirrored

    def grid_positions(
        self, uniforms: Uniforms, height: int, width: int, cells: int
    ) -> Float[Tensor, "batch cells cells 2"]:
        """Return the (x, y) positions of a view's cells in pixels of the whole image, as lightly's ``RandomResizedCropAndFlip``.

        Source: lightly, ``RandomResizedCropAndFlip.location_to_NxN_grid``.
        """
        box, flipped, mirrored = self.parameters(uniforms, height, width)
        share = torch.linspace(0, 1, cells, device=uniforms.device) + 0.5 / cells
        x = box.left[:, None] + box.width[:, None] * share
        y = box.top[:, None] + box.height[:, None] * share
        if mirrored is not None:
            x = torch.where(mirrored[:, None], x.flip(1), x)
        if flipped is not None:
            y = torch.where(flipped[:, None], y.flip(1), y)
        grid = (len(uniforms), cells, cells)
        return torch.stack([x[:, None, :].expand(grid), y[:, :, None].expand(grid)], dim=3)


@dataclass(frozen=True)
class Resize:
    """Resize with antialiasing.

    Attributes:
        size: Height and width of the result, or the length of its shorter side.
        kernel: Resampling kernel.
    """

    size: tuple[int, int] | int
    kernel: Kernel = "bilinear"

    @property
    def uniforms(self) -> int:
        """Return 0."""
        return 0

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return the resized images."""
        height, width = images.shape[2:]
        target = self.size
        if isinstance(target, int):
            short = min(height, width)
            target = (int(target * height / short), int(target * width / short))
        if target == (height, width):
            return images
        zero = images.new_zeros(1)
        rows = resize_matrices(zero, zero + height, height, target[0], kernel=self.kernel)
        columns = resize_matrices(zero, zero + width, width, target[1], kernel=self.kernel)
        batch = len(images)
        rows, columns = rows.expand(batch, -1, -1), columns.expand(batch, -1, -1)
        return separable(images, rows, columns, bounded=self.kernel == "bicubic")


@dataclass(frozen=True)
class CentreCrop:
    """Cut out the centre."""

    size: tuple[int, int]

    @property
    def uniforms(self) -> int:
        """Return 0."""
        return 0

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return B×C×size; raises ValueError if the images are smaller."""
        height, width = images.shape[2:]
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"a centre crop of {self.size} needs images of at least that size, not {(height, width)}")
        top, left = round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)
        return images[:, :, top : top + self.size[0], left : left + self.size[1]]


@dataclass(frozen=True)
class PaddedCrop:
    """Pad with zeros on all sides, then cut out a random part (torchvision's ``RandomCrop(size, padding)``)."""

    size: tuple[int, int]
    padding: int

    @property
    def uniforms(self) -> int:
        """Return 2: the top and left positions."""
        return 2

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return B×C×size; raises ValueError if the padded images are smaller."""
        height, width = (side + 2 * self.padding for side in images.shape[2:])
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"a crop of {self.size} does not fit into padded images of {(height, width)}")
        padded = torch.nn.functional.pad(images, [self.padding] * 4)
        top = (uniforms[:, 0] * (height - self.size[0] + 1)).long().clamp_(max=height - self.size[0])
        left = (uniforms[:, 1] * (width - self.size[1] + 1)).long().clamp_(max=width - self.size[1])
        return cut_out(padded, top, left, self.size)


def cut_out(
    images: Tensor, top: Tensor, left: Tensor, size: tuple[int, int], extend: bool = False
) -> Float[Tensor, "batch channels height width"]:
    """Cut the same size out of every image, each at its own position.

    Args:
        images: B×C×H×W of any type.
        top: First row of each part, int64 B.
        left: First column of each part, int64 B.
        size: Height and width of the parts.
        extend: Whether parts may extend beyond the image; its edge pixels are then repeated.
    """
    batch, channels, height, width = images.shape
    rows = top[:, None] + torch.arange(size[0], device=images.device)
    columns = left[:, None] + torch.arange(size[1], device=images.device)
    if extend:
        rows, columns = rows.clamp_(0, height - 1), columns.clamp_(0, width - 1)
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, -1).expand(-1, channels, -1)
    return images.reshape(batch, channels, -1).gather(2, flat).view(batch, channels, *size)
