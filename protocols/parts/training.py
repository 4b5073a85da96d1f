"""Constants of the training of a classifier: steps, learning rates, optimiser; imports no torch."""

from dataclasses import dataclass
from typing import Literal

from protocols.ranges import Count, NotNegative, Whole


@dataclass(frozen=True)
class Training:
    """Constants of the training of a classifier.

    Attributes:
        steps: Least number of steps.
        passes: Least number of passes over the images.
        batch: Largest number of images per step.
        trunk_rate: Peak learning rate of the encoder, for any batch size; 0 keeps it frozen.
        head_rate: Peak learning rate of the head.
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``; without weight decay.
        augmentation: Augmentation of every image in every step.
    """

    steps: Whole
    passes: Whole
    batch: Count
    # The name is fixed: the protocol ids in committed records contain it (training.trunk_rate).
    trunk_rate: NotNegative
    head_rate: NotNegative
    optimizer: Literal["sgd", "adamw"] = "sgd"
    augmentation: Literal["shift", "crop"] = "shift"

    def __post_init__(self) -> None:
        if self.steps == self.passes == 0:
            raise ValueError("steps and passes are both 0: nothing would be trained; set one of them to at least 1")

    def steps_over(self, images: int) -> int:
        """Return the number of steps for ``images`` images: at least ``steps`` and at least ``passes`` passes."""
        return max(self.steps, -(-self.passes * images // self.batch_of(images)))

    def batch_of(self, images: int) -> int:
        """Return the batch size for ``images`` images."""
        return min(self.batch, images)
