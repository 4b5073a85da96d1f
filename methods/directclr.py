"""DirectCLR: NT-Xent on the first features of the backbone itself, without a projection head.

Recipe: the authors' on ImageNet (https://github.com/facebookresearch/directclr): LARS, rate 0.3 at 256 images, decay 1e-6, temperature 0.1, the
first 360 of 2048 features, SimCLR's views.
Deviations: the same share of the backbone's features (0.176), not their number; half the colour jitter, no blur up to 32 pixels, as in ``simclr``;
LARS is solo-learn's clipped form; a warm-up of a tenth of the training, because ours is short.
Seen on the development task of digits (60 epochs, resnet9_slim, seed 0, kNN / one label a class, frozen): 97.2 / 65.7, untrained 93.1 / 47.2.
On a transformer: AdamW as in ``simclr``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.loss import DirectCLRLoss
from lightly.transforms.simclr_transform import SimCLRTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.traits import Traits


@dataclass(frozen=True)
class DirectCLRSettings:
    """What is particular to DirectCLR.

    Attributes:
        temperature: Of the softmax over similarities.
        share: Share of the features that the loss sees.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    temperature: float = 0.1
    share: float = 360 / 2048
    min_scale: float = 0.08
    jitter: float = 0.5


class DirectCLR(Method):
    """The backbone and NT-Xent on a part of its features."""

    title: ClassVar[str] = "DirectCLR"
    paper: ClassVar[str] = "https://arxiv.org/abs/2110.09348"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="lars", rate=0.3, weight_decay=1e-6, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = DirectCLRSettings

    def __init__(self, backbone: Backbone | None, settings: DirectCLRSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.criterion = DirectCLRLoss(max(1, round(settings.share * self.backbone.dim)), settings.temperature)

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
