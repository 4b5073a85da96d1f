"""MoCo v2+: a query attracts the teacher's key of the other view and repels a queue of earlier keys.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/mocov2plus.yaml). SGD with
learning rate 0.3 at batch size 256 and weight decay 1e-4; a projector of 2048 and 256 on 512 features without batch
norm; temperature 0.2; a queue of 32768 keys for each direction; teacher momentum rising from 0.99 to 0.999; the mean of
both directions.

Deviations: a queue holds at most a quarter of the training images. The projector's hidden layer keeps its ratio to the
backbone (four times its features). Crops are bilinear (lightly). Images of up to 32 pixels are not blurred. The warm-up
is a tenth of the training, because the training is short. Biases and norms have no weight decay. As in solo-learn,
batches are not shuffled between devices for the keys' batch norm, which uses the whole batch: queries and keys have
separate batch statistics, and the projector has no batch norm. On a transformer, AdamW as in ``simclr``.

On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: 92.4 / 72.3; untrained network 93.1 / 47.2.

Each direction has its own queue. With a shared queue, the keys of the first direction would be negatives of their own
images in the second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.models.modules.heads import MoCoProjectionHead
from lightly.transforms.moco_transform import MoCoV2Transform
from torch import nn

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.queue import QueueLoss, queue_length
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.ranges import Count, Fraction, Multiple, Positive, PositiveFraction
from methods.space import DECAY, RATE, TEACHER, TEMPERATURE, Space
from methods.traits import Traits


@dataclass(frozen=True)
class MoCoSettings:
    """What is particular to MoCo.

    Attributes:
        temperature: Temperature of the softmax over similarities.
        queue: Largest number of keys in each queue.
        momentum: The teacher's momentum at the start.
        final_momentum: The teacher's momentum at the end.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    temperature: Positive = 0.2
    queue: Count = 32768
    momentum: Fraction = 0.99
    final_momentum: Fraction = 0.999
    hidden: Multiple = 4
    dim: Count = 256
    min_scale: PositiveFraction = 0.08


class MoCo(Method):
    """A student, its teacher, and a queue for each direction."""

    title: ClassVar[str] = "MoCo v2+"
    paper: ClassVar[str] = "https://arxiv.org/abs/2003.04297"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="sgd", rate=0.3, weight_decay=1e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": TEMPERATURE,
        "momentum": TEACHER,
    }
    Settings: ClassVar[type[Any]] = MoCoSettings

    def __init__(self, backbone: Backbone | None, settings: MoCoSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        self.projection = MoCoProjectionHead(features, settings.hidden * features, settings.dim)
        self.teacher = teacher_of(nn.Sequential(self.backbone, self.projection))
        length = queue_length(settings.queue, traits)
        self.first = QueueLoss(settings.temperature, length, settings.dim)
        self.second = QueueLoss(settings.temperature, length, settings.dim)

    @classmethod
    def views(cls, settings: MoCoSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = MoCoV2Transform(**allowed(traits, settings.min_scale))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean of the losses of both directions."""
        queries = [self.projection(self.backbone(view)) for view in batch.views]
        with torch.no_grad():
            keys = [self.teacher(view) for view in batch.views]
        first = in_float32(self.first, queries[0], keys[1])
        second = in_float32(self.second, queries[1], keys[0])
        self.first.memory_bank.put(keys[1])
        self.second.memory_bank.put(keys[0])
        return Loss((first + second) / 2.0, {})

    def after_step(self, progress: float) -> None:
        """Update the queues and move the teacher towards the student."""
        self.first.memory_bank.update()
        self.second.memory_bank.update()
        student = nn.Sequential(self.backbone, self.projection)
        follow(student, self.teacher, momentum_at(progress, self.settings.momentum, self.settings.final_momentum))
