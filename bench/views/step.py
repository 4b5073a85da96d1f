"""The form of every step of a batched program: uniform numbers and images in, images out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Pictures = Float[Tensor, "batch channels height width"]
"""float32 in [0, 1], not normalised."""

Uniforms = Float[Tensor, "batch numbers"]
"""Independent uniform numbers in [0, 1): all the chance that a step has. Drawn at once for a whole program."""


class Step(Protocol):
    """One step; equal steps (same class, same fields) are the same distribution."""

    @property
    def uniforms(self) -> int:
        """Return how many uniform numbers an image needs."""

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return the transformed images; may write into ``images``."""


def apply_to_hit(
    hit: Bool[Tensor, " batch"], images: Pictures, operation: Callable[..., Pictures], *parameters: Tensor
) -> Pictures:
    """Apply an operation that keeps the shape to the images that are hit.

    On a CPU the others cost nothing. On a GPU the operation runs on all images: picking rows there would have to wait
    for the device to count them.

    Args:
        hit: Which images.
        images: Changed in place on a CPU.
        operation: Called with images and the matching rows of ``parameters``.
        parameters: Tensors with one row an image.
    """
    if images.device.type == "cpu":
        rows = hit.nonzero().squeeze(1)
        if len(rows) == len(hit):
            return operation(images, *parameters)
        if len(rows):
            images[rows] = operation(images[rows], *(p[rows] for p in parameters))
        return images
    return torch.where(hit[:, None, None, None], operation(images.clone(), *parameters), images)


def run_steps(steps: tuple[Step, ...], images: Pictures, uniforms: Uniforms) -> Pictures:
    """Run steps one after another, each on its own columns of ``uniforms``."""
    column = 0
    for step in steps:
        images = step(images, uniforms[:, column : column + step.uniforms])
        column += step.uniforms
    return images


@dataclass(frozen=True)
class RandomApply:
    """Run all steps with probability ``probability``, else none (torchvision's ``RandomApply``)."""

    steps: tuple[Step, ...]
    probability: float

    @property
    def uniforms(self) -> int:
        """Return one number for the choice and those of the steps."""
        return 1 + sum(step.uniforms for step in self.steps)

    def __call__(self, images: Pictures, uniforms: Uniforms) -> Pictures:
        """Return images of which the hit ones went through all steps."""

        def run(hit_images: Pictures, numbers: Uniforms) -> Pictures:
            return run_steps(self.steps, hit_images, numbers)

        return apply_to_hit(uniforms[:, 0] < self.probability, images, run, uniforms[:, 1:])
