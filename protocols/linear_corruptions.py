"""``linear-corruptions``: the accuracy of ``linear`` on corrupted test images."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import MinLen

from protocols.base import Predictions, Task
from protocols.linear import Linear
from protocols.parts.corruptions import CORRUPTIONS, images_at_once
from protocols.ranges import Fraction, Positive
from protocols.selection import images_on_device

Strengths = Annotated[tuple[Positive, ...], MinLen(1)]
Fractions = Annotated[tuple[Fraction, ...], MinLen(1)]


@dataclass(frozen=True)
class LinearCorruptions(Linear):
    """Accuracy of the classifier of ``linear``, fitted to images as they are, on corrupted test images; the mean over all corruptions.

    The corruptions are those of Hendrycks & Dietterich 2019 (arXiv:1903.12261, section 3), and shifts; ``parts.corruptions`` defines them
    and their strengths. Pixels are corrupted before they are normalised. Every method of a seed gets the same corrupted images.

    Attributes:
        noise: Strengths of Gaussian noise.
        blur: Strengths of Gaussian blur.
        contrast: Strengths of lower contrast: what remains of it.
        brightness: Strengths of higher brightness.
        shift: Strengths of shifts.
    """

    noise: Strengths
    blur: Strengths
    contrast: Fractions
    brightness: Fractions
    shift: Fractions

    def predict(self, task: Task) -> Predictions:
        """Return log-probabilities, one block per corruption and strength.

        Raises:
            ValueError: As ``linear``.
        """
        head = self.head(task)
        conditions = [(name, strength) for name in CORRUPTIONS for strength in getattr(self, name)]
        generators = [task.generator(f"{name} {strength:g}") for name, strength in conditions]
        logs: list[list[torch.Tensor]] = [[] for _ in conditions]
        images = images_on_device(task.test_images, task.device, task.room)
        rows = images_at_once(images.shape[-1])
        for start in range(0, len(images), rows):
            block = images[start : start + rows].to(task.device)
            for (name, strength), generator, blocks in zip(conditions, generators, logs, strict=True):
                task.check_stop()
                corrupted = CORRUPTIONS[name](block, strength, generator)
                blocks.append(head.log_probabilities(task.features_of(corrupted)).float())
        return Predictions(
            scores=[torch.cat(blocks).cpu() for blocks in logs],
            conditions=[f"{name} {strength:g}" for name, strength in conditions],
            choices={"penalty": head.choices["penalty"]},
        )
