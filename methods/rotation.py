"""RotNet: by which quarter turn was the image rotated?

Recipe: the authors' on CIFAR-10 (https://github.com/gidariss/FeatureLearningRotNet, config/CIFAR10_RotNet_NIN4blocks.py): Nesterov SGD, rate
0.2 at 256 images, decay 5e-4; a shifted crop, a flip, then all four rotations of each image in one batch.
Deviations: a cosine instead of three steps of 0.2, because the length of the training varies; biases and norms do not decay; the crop is
shifted by an eighth of the image (4 of 32 pixels there); features are the backbone's last, where the paper's are best two blocks before
the end, because every method here is measured at the same place.
On a transformer: AdamW as in ``simclr``.

The task has no answer where a turned image is another image of the set: in digits a 6 upside down is a 9, and 0, 1 and 8 look the same
both ways; so its accuracy has a ceiling there, and 6 and 9 are pushed together, up to the turn. On the development task of digits (60 epochs,
resnet9_slim, seed 0, kNN / one label a class frozen) AdamW with rate 0.002 gives 74.5 / 37.8 where the untrained network has 93.1 / 47.2; the
published SGD, which stays the recipe, was not measured.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.precision import in_float32
from methods.parts.shifted import shifted_view
from methods.traits import Traits

TURNS = 4


class Rotation(Method):
    """A linear layer on the backbone, four classes."""

    title: ClassVar[str] = "RotNet"
    paper: ClassVar[str] = "https://arxiv.org/abs/1803.07728"
    family: ClassVar[Family] = "pretext"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="sgd", rate=0.2, weight_decay=5e-4, nesterov=True)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )

    def __init__(self, backbone: Backbone | None, settings: Any, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.classifier = nn.Linear(self.backbone.dim, TURNS)

    @classmethod
    def views(cls, settings: Any, traits: Traits) -> Callable[[Any], Any]:
        """Return one view: shifted by up to an eighth, mirrored where the class allows it."""
        return shifted_view(traits)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean cross-entropy over all turns."""
        images, turns = turned(batch.views[0])
        logits = self.classifier(self.backbone(images))
        accuracy = (logits.detach().argmax(dim=1) == turns).float().mean()
        loss = in_float32(lambda scores: nn.functional.cross_entropy(scores, turns), logits)
        return Loss(loss, {"turns_accuracy": accuracy})


def turned(
    images: Float[Tensor, "batch channels size size"],
) -> tuple[Float[Tensor, "4*batch channels size size"], Int[Tensor, " 4*batch"]]:
    """Return every image upright and turned counter-clockwise by 90, 180 and 270 degrees, and by how many quarters."""
    every = torch.cat([torch.rot90(images, quarters, (2, 3)) for quarters in range(TURNS)])
    return every, torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
