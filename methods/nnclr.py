"""NNCLR: the positive is not the other view but its nearest neighbour among earlier embeddings.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/nnclr.yaml). LARS with
learning rate 0.4 at batch size 256 and weight decay 1e-5; a projector of 2048, 2048 and 256 on 512 features; a
predictor of 4096 and 256; temperature 0.2; a queue of 65536 embeddings of the first view; the mean of both directions.

Deviations: the queue holds at most a quarter of the training images. Hidden layers keep their ratio to the backbone
(four and eight times its features). The loss is lightly's NT-Xent, with all 2N - 1 other embeddings in the denominator
(solo-learn: the N of the other view). Crops are bilinear (lightly). Images of up to 32 pixels are not blurred. The
warm-up is a tenth of the training, because the training is short. On a transformer, AdamW as in ``simclr``.

On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: 95.2 / 74.6; untrained network 93.1 / 47.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.models.modules.heads import NNCLRPredictionHead, NNCLRProjectionHead
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.contrastive import NTXentLoss
from methods.parts.precision import in_float32
from methods.parts.queue import Queue, queue_length
from methods.ranges import Count, Multiple, Positive, PositiveFraction
from methods.space import CROP, DECAY, RATE, TEMPERATURE, Space
from methods.traits import Traits


@dataclass(frozen=True)
class NNCLRSettings:
    """What is particular to NNCLR.

    Attributes:
        temperature: Temperature of the softmax over similarities.
        queue: Largest number of embeddings in the queue.
        hidden: Hidden units of the projector, in multiples of the backbone's features; the predictor has twice as many.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    temperature: Positive = 0.2
    queue: Count = 65536
    hidden: Multiple = 4
    dim: Count = 256
    min_scale: PositiveFraction = 0.08


class NNCLR(Method):
    """The backbone, a projector, a predictor, and a queue in which neighbours are looked up."""

    title: ClassVar[str] = "NNCLR"
    paper: ClassVar[str] = "https://arxiv.org/abs/2104.14548"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="lars", rate=0.4, weight_decay=1e-5, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": TEMPERATURE,
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = NNCLRSettings

    def __init__(self, backbone: Backbone | None, settings: NNCLRSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        hidden = settings.hidden * self.backbone.dim
        self.projection = NNCLRProjectionHead(self.backbone.dim, hidden, settings.dim)
        self.prediction = NNCLRPredictionHead(settings.dim, 2 * hidden, settings.dim)
        self.queue = Queue(queue_length(settings.queue, traits), settings.dim)
        self.criterion = NTXentLoss(settings.temperature)

    @classmethod
    def views(cls, settings: NNCLRSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two views; the second is solarised at random."""
        arguments = allowed(traits, settings.min_scale)
        pipeline: Callable[[Any], Any] = BYOLTransform(BYOLView1Transform(**arguments), BYOLView2Transform(**arguments))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean of both directions: the neighbour of one view against the prediction of the other."""
        projections = [self.projection(self.backbone(view)) for view in batch.views]
        predictions = [self.prediction(projection) for projection in projections]
        with torch.no_grad(), torch.autocast(projections[0].device.type, enabled=False):
            neighbours = [self.queue.nearest(projection.float()) for projection in projections]
        first = in_float32(self.criterion, neighbours[0], predictions[1])
        second = in_float32(self.criterion, neighbours[1], predictions[0])
        self.queue.put(projections[0])
        return Loss((first + second) / 2.0, {})

    def after_step(self, progress: float) -> None:
        """Update the queue."""
        self.queue.update()
