"""RotNet: predict by how many quarter turns an image was rotated.

Recipe: the authors' on CIFAR-10 (https://github.com/gidariss/FeatureLearningRotNet,
config/CIFAR10_RotNet_NIN4blocks.py). Nesterov SGD with weight decay 5e-4. A shifted crop and a flip, then all four
rotations of each image in one batch.

Deviations: learning rate 0.1 at batch size 256 (theirs: 0.2) and a warm-up of a tenth of the training, as in
``supervised``. A cosine replaces three steps of 0.2, because the length of the training varies. Biases and norms have
no weight decay. The crop is shifted by up to an eighth of the image (theirs: 4 of 32 pixels). The evaluated features
are those of the backbone's last layer, as for every method here; the paper's are best two blocks before the end. On a
transformer, AdamW as in ``simclr``.

The task is ambiguous if a rotated image looks like another image of the data set. In digits, a 6 upside down is a 9,
and 0, 1 and 8 look the same upside down. This limits the accuracy, and it makes the features of 6 and 9 alike, up to
the rotation.

Why a lower learning rate and a warm-up: on the development task of FashionMNIST (1 epoch of 210 steps, resnet9_slim,
seed 0), the published rate without a warm-up starts above a loss of 2.6 and is still at chance (1.35, where guessing
gives 1.39) after 48 steps, when the run was stopped; this recipe is at 0.38 there and ends at 0.10. Accuracy in % with
kNN / with one label per class and a frozen encoder: untrained 81.4 / 34.6, this recipe 83.0 / 41.0. On digits (60
epochs): untrained 93.1 / 47.2, AdamW with learning rate 0.002 74.5 / 37.8; SGD was not measured there.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.precision import in_float32
from methods.parts.shifted import shifted_view
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

TURNS = 4


class Rotation(Method):
    """The backbone and a linear layer with four classes."""

    title: ClassVar[str] = "RotNet"
    paper: ClassVar[str] = "https://arxiv.org/abs/1803.07728"
    family: ClassVar[Family] = "pretext"
    recipe: ClassVar[Recipe] = Recipe(
        version=2, optimizer="sgd", rate=0.1, weight_decay=5e-4, nesterov=True, warmup=0.1
    )
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "recipe.warmup": Between(0.0, 0.3),
    }

    def __init__(self, backbone: Backbone | None, settings: Any, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.classifier = nn.Linear(self.backbone.dim, TURNS)

    @classmethod
    def views(cls, settings: Any, traits: Traits) -> Callable[[Any], Any]:
        """Return one view, shifted by up to an eighth of the image and mirrored if the data set allows it."""
        return shifted_view(traits)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean cross-entropy over all rotations, and the accuracy as a part."""
        images, turns = rotated(batch.views[0])
        logits = self.classifier(self.backbone(images))
        accuracy = (logits.detach().argmax(dim=1) == turns).float().mean()
        loss = in_float32(lambda scores: nn.functional.cross_entropy(scores, turns), logits)
        return Loss(loss, {"turns_accuracy": accuracy})


def rotated(
    images: Float[Tensor, "batch channels size size"],
) -> tuple[Float[Tensor, "4*batch channels size size"], Int[Tensor, " 4*batch"]]:
    """Return all images rotated counter-clockwise by 0, 90, 180 and 270 degrees, and their numbers of quarter turns."""
    copies = torch.cat([torch.rot90(images, turns, (2, 3)) for turns in range(TURNS)])
    return copies, torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
