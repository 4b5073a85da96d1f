"""TiCo: a student agrees with its teacher on another view, and avoids the directions of recent embeddings.

Recipe: lightly's on Imagenette (https://github.com/lightly-ai/lightly,
docs/source/getting_started/benchmarks/imagenette_benchmark.py). A projector of 1024 and 256 on 512 features; a
covariance with momentum 0.9 and weight 8; teacher momentum rising from 0.996 to 1; one direction; BYOL's views [Zhu
2022].

Deviations: the projector's hidden layer keeps its ratio to the backbone (twice its features). Images of up to 32 pixels
are not blurred. Biases and norms have no weight decay. The covariance starts at that of the first batch instead of
zero; from zero, the loss rises for twenty steps before it can fall. AdamW with learning rate 0.002 at batch size 256
and weight decay 5e-4 (practically none: it shrinks weights by 0.015 % in 300 steps) replaces SGD with learning rate
0.3. The warm-up is a tenth of the training. On a transformer, AdamW as in ``simclr``.

Why AdamW: on the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label
per class and a frozen encoder: untrained 93.1 / 47.2; SGD 88.3 / 64.3, AdamW 95.2 / 66.5 (measured before the
covariance started at that of the first batch).

lightly keeps the covariance outside ``state_dict`` and on the device of its first batch; here it is a buffer. The
teacher's batch norm uses the statistics of its batch, as in ``byol``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss import TiCoLoss
from lightly.models.modules.heads import TiCoProjectionHead
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.ranges import Count, Fraction, Multiple, NotNegative, PositiveFraction
from methods.space import DECAY, RATE, Between, OneOf, Space
from methods.traits import Traits


@dataclass(frozen=True)
class TiCoSettings:
    """What is particular to TiCo.

    Attributes:
        beta: Momentum of the covariance.
        rho: Weight of the covariance term.
        momentum: The teacher's momentum at the start; it rises to 1.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    beta: Fraction = 0.9
    rho: NotNegative = 8.0
    momentum: Fraction = 0.996
    hidden: Multiple = 2
    dim: Count = 256
    min_scale: PositiveFraction = 0.08


class TiCo(Method):
    """A student, a teacher, and the running covariance of the student's embeddings."""

    title: ClassVar[str] = "TiCo"
    paper: ClassVar[str] = "https://arxiv.org/abs/2206.10698"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "beta": OneOf((0.5, 0.8, 0.9, 0.95, 0.99)),
        "rho": Between(1.0, 50.0, log=True),
    }
    Settings: ClassVar[type[Any]] = TiCoSettings
    covariance: Float[Tensor, "dim dim"]

    def __init__(self, backbone: Backbone | None, settings: TiCoSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.projection = TiCoProjectionHead(self.backbone.dim, settings.hidden * self.backbone.dim, settings.dim)
        self.teacher = teacher_of(self._student())
        self.criterion = TiCoLoss(settings.beta, settings.rho)
        self.register_buffer("covariance", torch.zeros(settings.dim, settings.dim))

    @classmethod
    def views(cls, settings: TiCoSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return the student's view and the teacher's view; the second is solarised at random."""
        arguments = allowed(traits, settings.min_scale)
        pipeline: Callable[[Any], Any] = BYOLTransform(BYOLView1Transform(**arguments), BYOLView2Transform(**arguments))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the loss of the student's view against the teacher's, and update the covariance."""
        embedding = self._student()(batch.views[0])
        with torch.no_grad():
            target = self.teacher(batch.views[1])
        return Loss(in_float32(self._loss, embedding, target), {})

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        follow(self._student(), self.teacher, momentum_at(progress, self.settings.momentum))

    def _student(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.projection)

    def _loss(self, embedding: Float[Tensor, "batch dim"], target: Float[Tensor, "batch dim"]) -> Tensor:
        unit = normalize(embedding.detach(), dim=1)
        self.criterion.C = torch.where(self.covariance.any(), self.covariance, unit.T @ unit / len(unit))
        loss: Tensor = self.criterion(embedding, target)
        self.covariance = self.criterion.C
        return loss
