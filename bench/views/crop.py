"""Steps that choose a part of the image: random resized crop (flips folded in), resize, centre crop, padded crop."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bench.views.resample import Kernel, enlarge, resize_matrices, separable
from bench.views.step import Pictures, Uniforms

_TRIES = 10


class Boxes(NamedTuple):
    """Parts of images in whole pixels, float32."""

    top: Float[Tensor, " batch"]
    left: Float[Tensor, " batch"]
    height: Float[Tensor, " batch"]
    width: Float[Tensor, " batch"]


def random_boxes(
    uniforms: Uniforms, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Boxes:
    """Return torchvision's random resized crop: the first of ten tries that fits, else the centre.

    Args:
        uniforms: B×22: ten areas, ten aspect ratios, the two places.
        height: Of the images.
        width: Of the images.
        scale: Least and largest share of the area.
        ratio: Least and largest width over height; uniform in its logarithm.
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
    top = _place(uniforms[:, 2 * _TRIES], height - box_height)
    left = _place(uniforms[:, 2 * _TRIES + 1], width - box_width)
    top = torch.where(none, (height - centre_height) // 2, top)
    left = torch.where(none, (width - centre_width) // 2, left)
    return Boxes(top, left, box_height, box_width)


def _place(uniform: Float[Tensor, " batch"], room: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    # The product can round up to room + 1.
    return torch.minimum((uniform * (room + 1)).floor_(), room)


def _centre_box(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def _either(first: float, second: float) -> float:
    return first * (1 - second) + second * (1 - first)


@dataclass(frozen=True)
class RandomResizedCrop:
    """torchvision's ``RandomResizedCrop`` with antialiasing, and the flips that follow it.

    Attributes:
        size: Height and width of the result.
        scale: Share of the area.
        ratio: Width over height.
        kernel: Of the resampling.
        horizontal_flip: Probability.
        vertical_flip: Probability.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    kernel: Kernel = "bilinear"
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0

    def with_flip(self, dimension: int, probability: float) -> "RandomResizedCrop":
        """Return the crop followed by one more flip along dimension 3 (left and right) or 2; two flips are one."""
        if dimension == 3:
            return replace(self, horizontal_flip=_either(self.horizontal_flip, probability))
        return replace(self, vertical_flip=_either(self.vertical_flip, probability))

    @property
    def uniforms(self) -> int:
        """Return those of the box and of two flips."""
        return 2 * _TRIES + 4

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return B×C×size."""
        height, width = images.shape[2:]
        box, flipped, mirrored = self.chosen(uniforms, height, width)
        if self.kernel == "bilinear" and height <= self.size[0] and width <= self.size[1]:
            return enlarge(images, (box.top, box.height), (box.left, box.width), self.size, flipped, mirrored)
        rows = resize_matrices(box.top, box.height, height, self.size[0], flipped, self.kernel)
        columns = resize_matrices(box.left, box.width, width, self.size[1], mirrored, self.kernel)
        return separable(images, rows, columns, bounded=self.kernel == "bicubic")

    def chosen(
        self, uniforms: Uniforms, height: int, width: int
    ) -> tuple[Boxes, Bool[Tensor, " batch"] | None, Bool[Tensor, " batch"] | None]:
        """Return the boxes, and which results are upside down and mirrored (None: none)."""
        box = random_boxes(uniforms, height, width, self.scale, self.ratio)
        flipped = uniforms[:, -2] < self.vertical_flip if self.vertical_flip else None
        mirrored = uniforms[:, -1] < self.horizontal_flip if self.horizontal_flip else None
        return box, flipped, mirrored

    def places(self, uniforms: Uniforms, height: int, width: int, cells: int) -> Float[Tensor, "batch cells cells 2"]:
        """Return lightly's grid of a view: (x, y) in pixels of the whole image (``RandomResizedCropAndFlip.location_to_NxN_grid``)."""
        box, flipped, mirrored = self.chosen(uniforms, height, width)
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
    """Resize with antialiasing to a height and width, or the shorter side to one length.

    Attributes:
        size: Height and width, or the length of the shorter side.
        kernel: Of the resampling.
    """

    size: tuple[int, int] | int
    kernel: Kernel = "bilinear"

    @property
    def uniforms(self) -> int:
        """Return 0."""
        return 0

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
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
    """Cut the middle out; the images must not be smaller."""

    size: tuple[int, int]

    @property
    def uniforms(self) -> int:
        """Return 0."""
        return 0

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return B×C×size; raises ValueError where the images are smaller."""
        height, width = images.shape[2:]
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"a centre crop of {self.size} needs images of at least that size, not {(height, width)}")
        top, left = round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)
        return images[:, :, top : top + self.size[0], left : left + self.size[1]]


@dataclass(frozen=True)
class PaddedCrop:
    """Pad with zeros all round, then cut the size out at a random place (``RandomCrop(size, padding)``)."""

    size: tuple[int, int]
    padding: int

    @property
    def uniforms(self) -> int:
        """Return one for each direction."""
        return 2

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return B×C×size; raises ValueError where the padded images are smaller."""
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
    """Return the part of each image that starts at whole pixels ``top``, ``left``.

    Args:
        images: B×C×H×W of any type.
        top: int64 B.
        left: int64 B.
        size: Height and width of the part.
        extend: Whether the part may leave the image; its edge pixels are repeated there.
    """
    batch, channels, height, width = images.shape
    rows = top[:, None] + torch.arange(size[0], device=images.device)
    columns = left[:, None] + torch.arange(size[1], device=images.device)
    if extend:
        rows, columns = rows.clamp_(0, height - 1), columns.clamp_(0, width - 1)
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, -1).expand(-1, channels, -1)
    return images.reshape(batch, channels, -1).gather(2, flat).view(batch, channels, *size)
