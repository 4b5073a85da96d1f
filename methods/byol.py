"""BYOL: a student predicts the embedding that a slowly moving teacher has of another view.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/byol.yaml). Hidden layers
of 4096 on 512 features, embeddings of 256, teacher momentum rising from 0.99 to 1, and the sum of the two symmetric
terms 2 - 2·cos.

Deviations: AdamW with learning rate 0.002 at batch size 256 and weight decay 5e-4 (practically none: it shrinks weights
by 0.015 % in 300 steps) replaces LARS with learning rate 1.0. The projector ends with a batch norm without affine
parameters, as in SimSiam and MoCo v3. Hidden layers keep their ratio to the backbone (eight times its features). Crops
are bilinear (lightly) instead of bicubic. Images of up to 32 pixels are not blurred. The warm-up is a tenth of the
training, because the training is short. Biases and norms have no weight decay. On a transformer, AdamW as in
``simclr``.

Why the batch norm: without it one direction soon has nearly all of the embeddings' variance (digits, AdamW, after 60 of
300 steps: 96 % of the variance, effective rank 1.2 of 256; with it 49 % and 4.7). On the development task of digits (60
epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class and a frozen encoder: untrained 93.1 /
47.2. Without the batch norm: SGD of lightly's benchmark (0.12) 80.7 / 46.6, AdamW 82.8 / 41.7, AdamW with teacher
momentum from 0.9: 85.5 / 43.4, from 0.5: 85.5 / 40.4. With it: AdamW 95.2 / 72.6, with momentum from 0.9: 91.0 / 59.8.
On FashionMNIST (1 epoch, seed 0): untrained 81.4 / 34.6; without the batch norm SGD 79.2 / 36.0, AdamW 80.2 / 38.2; not
measured with it.

The teacher's batch norm uses the statistics of its batch, like the student's [Grill 2020, section 3.3; solo-learn]; its
running statistics are separate and not used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from torch import Tensor, nn

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.ranges import Count, Fraction, Multiple, PositiveFraction
from methods.space import CROP, DECAY, RATE, TEACHER, Space
from methods.traits import Traits


@dataclass(frozen=True)
class BYOLSettings:
    """What is particular to BYOL.

    Attributes:
        momentum: The teacher's momentum at the start; it rises to 1.
        hidden: Hidden units of projector and predictor, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    momentum: Fraction = 0.99
    hidden: Multiple = 8
    dim: Count = 256
    min_scale: PositiveFraction = 0.08


class BYOL(Method):
    """A student with a projector and a predictor, and a teacher with a projector."""

    title: ClassVar[str] = "BYOL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2006.07733"
    family: ClassVar[Family] = "self-distillation"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "momentum": TEACHER,
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = BYOLSettings

    def __init__(self, backbone: Backbone | None, settings: BYOLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        hidden = settings.hidden * self.backbone.dim
        self.projection = nn.Sequential(
            BYOLProjectionHead(self.backbone.dim, hidden, settings.dim), nn.BatchNorm1d(settings.dim, affine=False)
        )
        self.prediction = BYOLPredictionHead(settings.dim, hidden, settings.dim)
        self.teacher = teacher_of(nn.Sequential(self.backbone, self.projection))
        self.criterion = NegativeCosineSimilarity()

    @classmethod
    def views(cls, settings: BYOLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two views; the second is solarised at random."""
        arguments = allowed(traits, settings.min_scale)
        pipeline: Callable[[Any], Any] = BYOLTransform(BYOLView1Transform(**arguments), BYOLView2Transform(**arguments))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the sum of the losses of both directions."""
        predictions = [self.prediction(self.projection(self.backbone(view))) for view in batch.views]
        with torch.no_grad():
            targets = [self.teacher(view) for view in batch.views]
        first = in_float32(self._distance, predictions[0], targets[1])
        second = in_float32(self._distance, predictions[1], targets[0])
        return Loss(first + second, {})

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        student = nn.Sequential(self.backbone, self.projection)
        follow(student, self.teacher, momentum_at(progress, self.settings.momentum))

    def _distance(self, prediction: Float[Tensor, "batch dim"], target: Float[Tensor, "batch dim"]) -> Tensor:
        distance: Tensor = 2.0 + 2.0 * self.criterion(prediction, target)
        return distance
