"""SimCLR: two views of an image attract, all other images of the batch repel.

Recipe: the authors' on CIFAR-10 (https://github.com/google-research/simclr, README): LARS, rate 1.0 at 256 images, decay 1e-4,
temperature 0.5, half the colour jitter, no blur up to 32 pixels; both views pass the network as one batch [Chen 2020, algorithm 1].
The head is solo-learn's (scripts/pretrain/cifar/simclr.yaml): 2048 and 256 on 512 features, without batch norm.
Deviations: the head's hidden layer keeps its ratio to the backbone (four times its features); bilinear crops (lightly); LARS is solo-learn's
clipped form; a warm-up of a tenth of the training, because ours is short.
Why not solo-learn's rate 0.4, temperature 0.2, full jitter: on the development task of digits (60 epochs, resnet9_slim, one label a
class, frozen) 68.3 against 76.9.
On a transformer: AdamW, rate 2e-3, decay 0.05, as published for a small ViT on Imagenette
(https://github.com/rbalestr-lab/lejepa, MINIMAL.md); with it vit_nano goes from 22.6 (untrained) to 51.9 there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms.simclr_transform import SimCLRTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.traits import Traits


@dataclass(frozen=True)
class SimCLRSettings:
    """What is particular to SimCLR.

    Attributes:
        temperature: Of the softmax over similarities.
        hidden: Hidden units of the head, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    temperature: float = 0.5
    hidden: int = 4
    dim: int = 256
    min_scale: float = 0.08
    jitter: float = 0.5


class SimCLR(Method):
    """The backbone, a projection head, NT-Xent."""

    title: ClassVar[str] = "SimCLR"
    paper: ClassVar[str] = "https://arxiv.org/abs/2002.05709"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="lars", rate=1.0, weight_decay=1e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
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
        """Return NT-Xent over both views."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        return Loss(in_float32(self.criterion, *embeddings.chunk(2)), {})
