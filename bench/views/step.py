"""The interface of a batched step: it takes images and uniform random numbers, and returns images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FloatImages = Float[Tensor, "batch channels height width"]
"""float32 in [0, 1], not normalised."""

Uniforms = Float[Tensor, "batch numbers"]
"""Independent uniform numbers in [0, 1): the only randomness of a step. They are drawn at once for a whole program."""


class Step(Protocol):
    """One batched transform; equal steps (same class, same fields) have the same distribution."""

    @property
    def uniforms(self) -> int:
        """Return the number of uniform random numbers per image."""

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return the transformed images; may modify ``images``."""


def apply_to_selected(
    selected: Bool[Tensor, " batch"], images: FloatImages, operation: Callable[..., FloatImages], *parameters: Tensor
) -> FloatImages:
    """Apply an operation that keeps the shape to the selected images only.

    On the CPU the operation runs on the selected images. On a GPU it runs on all images, because selecting rows would make
    the host wait for the device.

    Args:
        selected: Which images to change.
        images: Images; changed in place on the CPU.
        operation: Function of images and the matching rows of ``parameters``.
        parameters: Tensors with one row per image.
    """
    if images.device.type == "cpu":
        rows = selected.nonzero().squeeze(1)
        if len(rows) == len(selected):
            return operation(images, *parameters)
        if len(rows):
            images[rows] = operation(images[rows], *(p[rows] for p in parameters))
        return images
    return torch.where(selected[:, None, None, None], operation(images.clone(), *parameters), images)


def run_steps(steps: tuple[Step, ...], images: FloatImages, uniforms: Uniforms) -> FloatImages:
    """Run steps one after another, each on its own columns of ``uniforms``."""
    column = 0
    for step in steps:
        images = step(images, uniforms[:, column : column + step.uniforms])
        column += step.uniforms
    return images


@dataclass(frozen=True)
class RandomApply:
    """Run all steps with a probability, otherwise none (torchvision's ``RandomApply``)."""

    steps: tuple[Step, ...]
    probability: float

    @property
    def uniforms(self) -> int:
        """Return one for the choice, plus those of the steps."""
        return 1 + sum(step.uniforms for step in self.steps)

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> FloatImages:
        """Return the images; all steps are applied to the selected ones."""

        def run(chosen: FloatImages, numbers: Uniforms) -> FloatImages:
            return run_steps(self.steps, chosen, numbers)

        return apply_to_selected(uniforms[:, 0] < self.probability, images, run, uniforms[:, 1:])
