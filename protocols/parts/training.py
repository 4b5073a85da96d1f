"""How a classifier is trained: steps, rates, optimiser; imports no torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Training:
    """How a classifier is trained.

    Attributes:
        steps: At least so many, and at least ``passes`` over the images.
        passes: Passes over the images.
        batch: Most images a step.
        trunk_rate: Peak learning rate of the encoder, for any batch; 0 keeps it frozen.
        head_rate: Peak learning rate of the head.
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``; without weight decay.
        augmentation: Of every image of every step.
    """

    steps: int
    passes: int
    batch: int
    trunk_rate: float
    head_rate: float
    optimizer: Literal["sgd", "adamw"] = "sgd"
    augmentation: Literal["shift", "crop"] = "shift"

    def steps_over(self, images: int) -> int:
        """Return the number of steps over so many images."""
        return max(self.steps, -(-self.passes * images // self.batch_of(images)))

    def batch_of(self, images: int) -> int:
        """Return the batch over so many images."""
        return min(self.batch, images)
