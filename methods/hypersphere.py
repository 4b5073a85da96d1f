"""Alignment and uniformity: two views of an image are close on the unit sphere, and images spread evenly over it.

Recipe: the authors' on STL-10 (https://github.com/SsnL/align_uniform). Embeddings of 128, distance to the power of 2, t
= 2, both terms with weight 1, crops of at least 0.08 of the area, half of SimCLR's colour jitter. lightly's loss has t
= 1 by default.

Deviations: the projector is SimCLR's with two layers, as wide as the backbone; the authors have one linear layer on
AlexNet's last hidden layer. Hue jitter is 0.1 instead of 0.4, and the colour jitter is applied to 80 % of the views
(theirs: all). Images are not blurred. AdamW with learning rate 0.002 at batch size 256, weight decay 5e-4 (practically
none: it shrinks weights by 0.015 % in 300 steps), a warm-up over a tenth of the training and a cosine schedule replaces
SGD with learning rate 0.12 and three steps of decay. Biases and norms have no weight decay. On a transformer, AdamW as
in ``simclr``.

Why AdamW: on the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label
per class and a frozen encoder: SGD 94.5 / 62.3; AdamW 96.6 / 66.6; untrained network 93.1 / 47.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.loss.hypersphere_loss import HypersphereLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms.simclr_transform import SimCLRTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Count, Multiple, NotNegative, Positive, PositiveFraction, Strength
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class HypersphereSettings:
    """What is particular to alignment and uniformity.

    Attributes:
        t: Scale t of the Gaussian potential between images.
        uniformity: Weight of the uniformity; alignment has weight 1.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    t: Positive = 2.0
    uniformity: NotNegative = 1.0
    hidden: Multiple = 1
    dim: Count = 128
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 0.5


class Hypersphere(Method):
    """The backbone, a projector, alignment and uniformity."""

    title: ClassVar[str] = "Align and Uniform"
    paper: ClassVar[str] = "https://arxiv.org/abs/2005.10242"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "t": Between(1.0, 8.0, log=True),
        "uniformity": Between(0.25, 4.0, log=True),
    }
    Settings: ClassVar[type[Any]] = HypersphereSettings

    def __init__(self, backbone: Backbone | None, settings: HypersphereSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        self.projection = SimCLRProjectionHead(features, settings.hidden * features, settings.dim, batch_norm=False)
        self.criterion = HypersphereLoss(settings.t, settings.uniformity)

    @classmethod
    def views(cls, settings: HypersphereSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = SimCLRTransform(
            cj_strength=settings.jitter, **allowed(traits, settings.min_scale, blur=0.0)
        )
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return alignment plus uniformity."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        return Loss(in_float32(self.criterion, *embeddings.chunk(2)), {})
