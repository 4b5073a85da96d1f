"""Separable linear maps of images: one small matrix a side and image gives crop, antialiased resize, flip and blur."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bench.views.step import Pictures

Kernel = Literal["bilinear", "bicubic"]

Matrices = Float[Tensor, "batch out in"]


def separable(images: Pictures, rows: Matrices, columns: Matrices, bounded: bool = False) -> Pictures:
    """Return ``rows @ image @ columns.T`` for every channel of every image.

    Args:
        images: B×C×H×W.
        rows: B×h×H.
        columns: B×w×W.
        bounded: Cut off at 0 and 1 after each product, as Pillow does, where a kernel overshoots (the cubic).
    """
    batch, channels, height, width = images.shape
    across = torch.bmm(images.reshape(batch, channels * height, width), columns.transpose(1, 2))
    across = across.view(batch, channels, height, -1)
    if bounded:
        across = across.clamp_(0, 1)
    if channels == 1:
        result = torch.bmm(rows, across.squeeze(1)).unsqueeze(1)
    else:
        result = torch.matmul(rows.unsqueeze(1), across)
    return result.clamp_(0, 1) if bounded else result


def resize_matrices(
    start: Float[Tensor, " batch"],
    length: Float[Tensor, " batch"],
    source: int,
    target: int,
    mirrored: Bool[Tensor, " batch"] | None = None,
    kernel: Kernel = "bilinear",
) -> Matrices:
    """Return the matrices that cut ``[start, start + length)`` out of a side and resize it, as Pillow does.

    The kernel is widened where the part shrinks (antialiasing); pixels outside the part have no weight, as if it were cut
    out first.

    Args:
        start: First pixel of the part, an integer.
        length: Its length, an integer of at least 1.
        source: Length of the side.
        target: Length of the result.
        mirrored: Images whose result is mirrored.
        kernel: Pillow's triangle, or its cubic with a = -0.5.

    Source: Pillow, ``src/libImaging/Resample.c``, ``precompute_coeffs``.
    """
    device = start.device
    place = torch.arange(target, device=device, dtype=torch.float32).expand(len(start), target)
    if mirrored is not None:
        place = torch.where(mirrored[:, None], target - 1 - place, place)
    scale = (length / target)[:, None]
    centre = start[:, None] + (place + 0.5) * scale
    pixel = torch.arange(source, device=device, dtype=torch.float32) + 0.5
    distance = (pixel - centre[:, :, None]).abs_().div_(scale.clamp(min=1)[:, :, None])
    if kernel == "bilinear":
        weights = distance.neg_().add_(1).clamp_(min=0)
    else:
        near = (1.5 * distance - 2.5) * distance.square() + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    inside = (pixel > start[:, None]) & (pixel < (start + length)[:, None])
    weights = weights * inside[:, None, :]
    return weights / weights.sum(2, keepdim=True)
