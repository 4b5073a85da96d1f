"""DirectCLR: NT-Xent on the first features of the backbone, without a projector.

Recipe: the authors' on ImageNet (https://github.com/facebookresearch/directclr). LARS with learning rate 0.3 at batch
size 256 and weight decay 1e-6, temperature 0.1, the first 360 of 2048 features, SimCLR's views.

Deviations: the same fraction of the backbone's features (0.176) is used instead of the same number. The colour jitter
is halved and images of up to 32 pixels are not blurred, as in ``simclr``. A view is compared with the 2N - 1 other
views of the batch (lightly), not only with the N views of the other kind (theirs). LARS is solo-learn's clipped form.
The warm-up is a tenth of the training, because the training is short. On a transformer, AdamW as in ``simclr``.

On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: 97.2 / 65.7; untrained network 93.1 / 47.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.transforms.simclr_transform import SimCLRTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.contrastive import DirectCLRLoss
from methods.parts.precision import in_float32
from methods.ranges import Positive, PositiveFraction, Strength
from methods.space import DECAY, RATE, TEMPERATURE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class DirectCLRSettings:
    """What is particular to DirectCLR.

    Attributes:
        temperature: Temperature of the softmax over similarities.
        kept: Fraction of the features that the loss uses.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    temperature: Positive = 0.1
    kept: PositiveFraction = 360 / 2048
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 0.5


class DirectCLR(Method):
    """The backbone and NT-Xent on some of its features."""

    title: ClassVar[str] = "DirectCLR"
    paper: ClassVar[str] = "https://arxiv.org/abs/2110.09348"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="lars", rate=0.3, weight_decay=1e-6, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": TEMPERATURE,
        "kept": Between(0.05, 0.5, log=True),
    }
    Settings: ClassVar[type[Any]] = DirectCLRSettings

    def __init__(self, backbone: Backbone | None, settings: DirectCLRSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.criterion = DirectCLRLoss(max(1, round(settings.kept * self.backbone.dim)), settings.temperature)

    @classmethod
    def views(cls, settings: DirectCLRSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = SimCLRTransform(
            cj_strength=settings.jitter, **allowed(traits, settings.min_scale)
        )
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return NT-Xent over the first features of both views."""
        features = self.backbone(torch.cat(batch.views))
        return Loss(in_float32(self.criterion, *features.chunk(2)), {})
