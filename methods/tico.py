"""TiCo: a student's embedding agrees with its teacher's of another view, and avoids the directions that embeddings took lately.

Recipe: lightly's on Imagenette (https://github.com/lightly-ai/lightly, docs/source/getting_started/benchmarks/imagenette_benchmark.py): head 1024
and 256 on 512 features, covariance kept with 0.9, its weight 8, teacher momentum 0.996 to 1, one direction, BYOL's views [Zhu 2022].
Deviations: the head's hidden layer keeps its ratio to the backbone (twice its features); no blur up to 32 pixels; biases and norms do not decay;
the covariance starts at the first batch's instead of zero, from where the loss climbs for twenty steps before it can fall; AdamW, rate 0.002 at 256
images, decay 5e-4, in the place of SGD with rate 0.3; a warm-up of a tenth of the training.
Why AdamW: on the development task of digits (60 epochs, resnet9_slim, seed 0; kNN / one label a class, frozen; untrained 93.1 / 47.2)
SGD has 88.3 / 64.3, AdamW 95.2 / 66.5 (before the covariance started at the first batch's).
On a transformer: AdamW as in ``simclr``.

lightly keeps the covariance outside of ``state_dict`` and on the device of its first batch; here it is a buffer. The teacher's batch norm uses
the statistics of its batch, as in ``byol``.
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
from methods.traits import Traits


@dataclass(frozen=True)
class TiCoSettings:
    """What is particular to TiCo.

    Attributes:
        beta: Share of the covariance that a step keeps.
        rho: Weight of the covariance's term.
        momentum: Of the teacher at the start; it ends at 1.
        hidden: Hidden units of the head, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    beta: float = 0.9
    rho: float = 8.0
    momentum: float = 0.996
    hidden: int = 2
    dim: int = 256
    min_scale: float = 0.08


class TiCo(Method):
    """A student, a teacher, the running covariance of the student's embeddings."""

    title: ClassVar[str] = "TiCo"
    paper: ClassVar[str] = "https://arxiv.org/abs/2206.10698"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
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
        """Return the student's view and the teacher's, the second solarised at times."""
        arguments = allowed(traits, settings.min_scale)
        pipeline: Callable[[Any], Any] = BYOLTransform(BYOLView1Transform(**arguments), BYOLView2Transform(**arguments))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the loss of the first view against the teacher's second, and move the covariance."""
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
