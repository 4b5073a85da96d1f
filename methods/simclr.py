"""SimCLR: two views of an image attract each other, and all other images of the batch repel them.

Recipe: the authors' on CIFAR-10 (https://github.com/google-research/simclr, README). LARS with learning rate 1.0 at
batch size 256 and weight decay 1e-4; temperature 0.5; half the colour jitter; no blur up to 32 pixels. Both views pass
through the network as one batch [Chen 2020, algorithm 1]. The projector is solo-learn's
(scripts/pretrain/cifar/simclr.yaml): 2048 and 256 on 512 features, without batch norm.

Deviations: the projector's hidden layer keeps its ratio to the backbone (four times its features). Crops are bilinear
(lightly). LARS is solo-learn's clipped form. The warm-up is a tenth of the training, because the training is short.

Why not solo-learn's learning rate 0.4, temperature 0.2 and full colour jitter: on the development task of digits (60
epochs, resnet9_slim), accuracy in % with one label per class and a frozen encoder: 68.3; this recipe 76.9.

On a transformer: AdamW with learning rate 2e-3 and weight decay 0.05, as published for a small ViT on Imagenette
(https://github.com/rbalestr-lab/lejepa, MINIMAL.md). Accuracy of vit_nano on the same task: untrained 22.6; this recipe
51.9.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms.simclr_transform import SimCLRTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.contrastive import NTXentLoss
from methods.parts.precision import in_float32
from methods.ranges import Count, Multiple, Positive, PositiveFraction, Strength
from methods.space import DECAY, RATE, TEMPERATURE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class SimCLRSettings:
    """What is particular to SimCLR.

    Attributes:
        temperature: Temperature of the softmax over similarities.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    temperature: Positive = 0.5
    hidden: Multiple = 4
    dim: Count = 256
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 0.5


class SimCLR(Method):
    """The backbone, a projector and the NT-Xent loss."""

    title: ClassVar[str] = "SimCLR"
    paper: ClassVar[str] = "https://arxiv.org/abs/2002.05709"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="lars", rate=1.0, weight_decay=1e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": TEMPERATURE,
        "jitter": Between(0.25, 1.0),
    }
    Settings: ClassVar[type[Any]] = SimCLRSettings

    def __init__(self, backbone: Backbone | None, settings: SimCLRSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        self.projection = SimCLRProjectionHead(features, settings.hidden * features, settings.dim, batch_norm=False)
        self.criterion = NTXentLoss(settings.temperature)

    @classmethod
    def views(cls, settings: SimCLRSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = SimCLRTransform(
            cj_strength=settings.jitter, **allowed(traits, settings.min_scale)
        )
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the NT-Xent loss of both views."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        return Loss(in_float32(self.criterion, *embeddings.chunk(2)), {})
