"""SwAV: predict the cluster of one view from the other, with all clusters of a batch equally large.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/swav.yaml). Two global
crops without local crops; a projector of 2048 and 128 on 512 features; temperature 0.1; three Sinkhorn iterations; no
queue of earlier embeddings, as in lightly's benchmark and by default in the authors' code
(https://github.com/facebookresearch/swav, main_swav.py; solo-learn: 3840 from epoch 50 of 1000). There are at most 512
prototypes, as in lightly's benchmark (solo-learn: 3000); a small data set has fewer, in proportion to solo-learn's 3000
for 50,000 images, and at least 64. They are frozen for a hundredth of the training, as in lightly's benchmark of 100
epochs.

Deviations: Sinkhorn's epsilon is 0.02 instead of 0.05, and the colour jitter is halved. AdamW with learning rate 0.002
at batch size 256 and weight decay 5e-4 (practically none: it shrinks weights by 0.015 % in 300 steps) replaces LARS
with learning rate 0.6. The projector's hidden layer keeps its ratio to the backbone (four times its features). Crops
are bilinear (lightly). Images of up to 32 pixels are not blurred. The warm-up is a tenth of the training, because the
training is short. Biases and norms have no weight decay. On a transformer, AdamW as in ``simclr``.

Why sharper codes: they must be sharper than the predictions by more than the views disagree, or all codes become equal.
On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: untrained 93.1 / 47.2. With epsilon 0.05 and full colour jitter the loss stays at the logarithm of
the number of prototypes, both with LARS (61.4 / 25.6) and with AdamW (64.1 / 28.1). With epsilon 0.02 and half the
colour jitter: 92.4 / 77.2. All of these had a queue.

Why no queue: in a short training, the embeddings in a queue are far older than the network that is compared with them,
and they fill the clusters in the place of the batch, whose own images then share few of them. On the development task
of FashionMNIST (1 epoch, seed 0), kNN / one label per class, then the loss at its lowest and at the end: untrained 81.4
/ 34.6; a queue of 3840 from a twentieth of the training 72.9 / 33.4, the loss rises from 6.36 when the queue starts and
ends at 7.43; a queue of 512, used once it is full, 80.8 / 44.9, 5.93 and 6.02; no queue 81.9 / 45.1, 5.74 and 5.84,
with prototypes frozen for a fifth of the training 82.3 / 45.8. All of these have 3000 prototypes; with 512, no queue
and a hundredth frozen (this recipe) 82.0 / 46.5. On digits (as above): a queue 92.4 / 77.2, none 95.9 / 76.6.

The bias of lightly's prototypes is removed, so that a similarity is a cosine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Float
from lightly.loss import SwaVLoss
from lightly.models.modules.heads import SwaVProjectionHead, SwaVPrototypes
from lightly.transforms.simclr_transform import SimCLRTransform
from torch import Tensor
from torch.nn.functional import normalize

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Count, Fraction, Multiple, Positive, PositiveFraction, Strength
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

FEWEST_PROTOTYPES = 64


@dataclass(frozen=True)
class SwAVSettings:
    """What is particular to SwAV.

    Attributes:
        temperature: Temperature of the softmax over prototypes.
        epsilon: Epsilon of the Sinkhorn iterations; smaller values give sharper codes. Below 0.012, the exponential of
            a cosine divided by it is not finite in float32.
        iterations: Number of Sinkhorn iterations.
        prototypes: Largest number of prototypes; a small data set has fewer.
        frozen: Fraction of the training during which the prototypes are frozen.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    temperature: Positive = 0.1
    epsilon: Annotated[float, Interval(ge=0.012, le=1)] = 0.02
    iterations: Count = 3
    prototypes: Count = 512
    frozen: Fraction = 0.01
    hidden: Multiple = 4
    dim: Count = 128
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 0.5


class SwAV(Method):
    """The backbone, a projector, and prototypes on the unit sphere."""

    title: ClassVar[str] = "SwAV"
    paper: ClassVar[str] = "https://arxiv.org/abs/2006.09882"
    family: ClassVar[Family] = "clustering"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": Between(0.05, 0.3, log=True),
        "epsilon": Between(0.012, 0.1, log=True),
    }
    Settings: ClassVar[type[Any]] = SwAVSettings

    def __init__(self, backbone: Backbone | None, settings: SwAVSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        self.projection = SwaVProjectionHead(features, settings.hidden * features, settings.dim)
        self.prototypes = SwaVPrototypes(settings.dim, prototypes_for(traits, settings.prototypes))
        # The bias of lightly's layer would favour some clusters.
        self.prototypes.heads[0].register_parameter("bias", None)
        self._to_unit_length()
        self.criterion = SwaVLoss(settings.temperature, settings.iterations, settings.epsilon)

    @classmethod
    def views(cls, settings: SwAVSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = SimCLRTransform(
            cj_strength=settings.jitter, **allowed(traits, settings.min_scale)
        )
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean of the losses of both directions."""
        embeddings = [self.projection(self.backbone(view)) for view in batch.views]
        return Loss(in_float32(self._loss, *embeddings), {})

    def before_step(self, progress: float) -> None:
        """Freeze the prototypes at the start of the training."""
        if progress < self.settings.frozen:
            for p in self.prototypes.parameters():
                p.grad = None

    def after_step(self, progress: float) -> None:
        """Normalise the prototypes."""
        self._to_unit_length()

    def _loss(self, *embeddings: Float[Tensor, "batch dim"]) -> Tensor:
        cosines = [self.prototypes(normalize(embedding, dim=1)) for embedding in embeddings]
        loss: Tensor = self.criterion(cosines, [])
        return loss.squeeze()

    @torch.no_grad()
    def _to_unit_length(self) -> None:
        self.prototypes.normalize()


def prototypes_for(traits: Traits, most: int) -> int:
    """Return 3000 prototypes per 50,000 images, but at least ``FEWEST_PROTOTYPES`` and at most ``most``."""
    return min(most, max(FEWEST_PROTOTYPES, round(traits.images * 3000 / 50_000)))
