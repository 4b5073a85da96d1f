"""SimSiam: a predictor maps one view's embedding to the other's, whose gradient is stopped; there is no teacher.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/simsiam.yaml). SGD with
learning rate 0.5 at batch size 256 and weight decay 1e-5; half of SimCLR's colour jitter; a projector with three layers
of 2048 on 512 features, the last batch norm without scale; a predictor with 512 hidden units and a constant learning
rate [Chen & He 2020, section 4.2 and appendix A]. Crops of at least 0.2 of the area, as in the authors' code and in
lightly's CIFAR-10 benchmark (solo-learn: 0.08).

Deviations: all widths keep their ratio to the backbone (four times its features; the predictor's hidden layer has as
many units as features). Crops are bilinear (lightly). Images of up to 32 pixels are not blurred. The warm-up is a tenth
of the training, because the training is short. Biases and norms have no weight decay. On a transformer, AdamW as in
``simclr``.

Why larger crops: on the development task of digits (60 epochs, resnet9_slim, means of three seeds), accuracy in % with
kNN / with one label per class and a frozen encoder: untrained 93.1 / 47.2 (one seed); crops from 0.08 76.3 / 44.9; from
0.2 (this recipe) 84.1 / 56.9; the same with a warm-up of 0.02 83.7 / 50.0, with a predictor that follows the schedule
85.0 / 52.2. With crops from 0.08 (seed 0), SGD with learning rate 0.12 81.4 / 38.8, AdamW with 0.002 82.8 / 42.3. On
FashionMNIST (1 epoch, seed 0): untrained 81.4 / 34.6; crops from 0.08 78.9 / 43.0; from 0.2 79.0 / 40.2, with a warm-up
of 0.02 81.0 / 44.6.

How low a seed ends can be seen without labels: on digits, RankMe was 8.7, 14.8 and 10.6 with crops from 0.08 (one
label: 40.4, 50.1, 44.3), 14.6, 16.2 and 16.7 with crops from 0.2 (54.9, 56.6, 59.1), and 6.9 in the one run with the
short warm-up that failed (38.2). The loss does not show it: that run has the lowest of its three seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead
from lightly.transforms.simsiam_transform import SimSiamTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Multiple, PositiveFraction
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class SimSiamSettings:
    """What is particular to SimSiam.

    Attributes:
        dim: Width of the projector and length of an embedding, in multiples of the backbone's features.
        hidden: Hidden units of the predictor, in multiples of the backbone's features.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    dim: Multiple = 4
    hidden: Multiple = 1
    min_scale: PositiveFraction = 0.2


class SimSiam(Method):
    """The backbone, a projector and a predictor."""

    title: ClassVar[str] = "SimSiam"
    paper: ClassVar[str] = "https://arxiv.org/abs/2011.10566"
    family: ClassVar[Family] = "self-distillation"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="sgd", rate=0.5, weight_decay=1e-5, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "recipe.warmup": Between(0.0, 0.3),
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = SimSiamSettings

    def __init__(self, backbone: Backbone | None, settings: SimSiamSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        width = settings.dim * features
        self.projection = SimSiamProjectionHead(features, width, width)
        self.prediction = SimSiamPredictionHead(width, settings.hidden * features, width)
        self.criterion = NegativeCosineSimilarity()

    @classmethod
    def views(cls, settings: Any, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = SimSiamTransform(**allowed(traits, settings.min_scale))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean negative cosine between each view's prediction and the mean embedding of the other views.

        Each view passes through the network separately, so that batch norm sees one view at a time.
        """
        embeddings = [self.projection(self.backbone(view)) for view in batch.views]
        predictions = [self.prediction(embedding) for embedding in embeddings]
        stopped = torch.stack([embedding.detach() for embedding in embeddings])
        others = (stopped.sum(0) - stopped) / (len(stopped) - 1)
        distances = [
            in_float32(self.criterion, prediction, target)
            for prediction, target in zip(predictions, others, strict=True)
        ]
        return Loss(torch.stack(distances).mean(), {})

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the default groups, with a constant learning rate for the predictor."""
        predictor = {id(p) for p in self.prediction.parameters()}
        groups = []
        for group in super().parameter_groups():
            groups.append(group | {"params": [p for p in group["params"] if id(p) not in predictor]})
            constant = [p for p in group["params"] if id(p) in predictor]
            groups.append(group | {"params": constant, "schedule": "constant"})
        return groups
