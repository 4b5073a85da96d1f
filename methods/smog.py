"""SMoG: predict the group to which a teacher assigns an image; the groups follow the embeddings and pass gradients.

Recipe: lightly's CIFAR-10 benchmark (https://github.com/lightly-ai/lightly,
docs/source/getting_started/benchmarks/cifar10_benchmark.py). A projector and a predictor of 2048 and 128 on 512
features; 300 groups with momentum 0.99; temperature 0.1; teacher momentum 0.99; a memory bank of 10,000; crops of at
least 0.2 of the area. At regular resets, the groups become the cluster centres of the bank, and the teacher becomes
equal to the student [Pang 2022, section 3.4, table 7].

Deviations: AdamW with learning rate 0.002 at batch size 256 and weight decay 5e-4 (practically none: it shrinks weights
by 0.015 % in 300 steps) replaces SGD with learning rate 0.01. There are ten resets per training instead of one every
300 steps of a far longer training; otherwise a short training would have none. Cluster centres are computed by
spherical k-means on the device. The bank holds at most a quarter of the training images; the number of groups keeps its
ratio to the bank and is at least 32. Embeddings are normalised before they move a group or enter the bank (lightly's
have length eleven, and move a new group ten times as far as its momentum implies). Groups start in random directions;
lightly's start in one orthant. The two views are swapped at random in half of the steps, not in every second step.
Hidden layers keep their ratio to the backbone (four times its features). Crops are bilinear. Images of up to 32 pixels
are not blurred. The warm-up is a tenth of the training, because the training is short. Biases and norms have no weight
decay. On a transformer, AdamW as in ``simclr``.

On development tasks (resnet9_slim, seed 0), accuracy in % with kNN / with one label per class and a frozen encoder: on
digits (60 epochs) untrained 93.1 / 47.2, this recipe 85.5 / 56.8; on FashionMNIST (1 epoch) untrained 81.4 / 34.6, this
recipe 82.2 / 43.7. The published SGD was not measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from lightly.models.modules.heads import SMoGPredictionHead, SMoGProjectionHead, SMoGPrototypes
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.smog_transform import SmoGViewTransform
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.queue import Queue, queue_length
from methods.parts.teacher import follow, teacher_of
from methods.ranges import Count, Fraction, Multiple, Positive, PositiveFraction, Whole
from methods.space import DECAY, RATE, TEMPERATURE, OneOf, Space
from methods.traits import Traits

FEWEST_GROUPS = 32
KMEANS_ITERATIONS = 10


@dataclass(frozen=True)
class SMoGSettings:
    """What is particular to SMoG.

    Attributes:
        groups: Largest number of groups; a small data set has fewer.
        group_momentum: Momentum of the groups.
        momentum: The teacher's momentum.
        temperature: Temperature of the softmax over groups.
        bank: Largest number of embeddings kept for the resets; never more than a quarter of the pretraining images.
        resets: Number of resets per training; at each, groups become the bank's centres and the teacher the student.
        hidden: Hidden units of projector and predictor, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    groups: Count = 300
    group_momentum: Fraction = 0.99
    momentum: Fraction = 0.99
    temperature: Positive = 0.1
    bank: Count = 10_000
    resets: Whole = 10
    hidden: Multiple = 4
    dim: Count = 128
    min_scale: PositiveFraction = 0.2


class SMoG(Method):
    """A student with projector and predictor, a teacher, groups, and a memory bank."""

    title: ClassVar[str] = "SMoG"
    paper: ClassVar[str] = "https://arxiv.org/abs/2207.06167"
    family: ClassVar[Family] = "clustering"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": TEMPERATURE,
        "groups": OneOf((100, 200, 300, 1000)),
    }
    Settings: ClassVar[type[Any]] = SMoGSettings

    def __init__(self, backbone: Backbone | None, settings: SMoGSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        hidden = settings.hidden * features
        self.projection = SMoGProjectionHead(features, hidden, settings.dim)
        self.prediction = SMoGPredictionHead(settings.dim, hidden, settings.dim)
        self.teacher = teacher_of(nn.Sequential(self.backbone, self.projection))
        self.bank = Queue(queue_length(settings.bank, traits), settings.dim)
        nn.init.zeros_(self.bank.keys)  # Zero rows are unused; they are not clustered.
        count = groups_for(len(self.bank.keys), settings.groups)
        groups = normalize(torch.randn(count, settings.dim), dim=1)
        self.teacher_groups = SMoGPrototypes(groups, settings.group_momentum)
        self._progress = 0.0

    @classmethod
    def views(cls, settings: SMoGSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two views; the second is solarised at random."""
        arguments = allowed(traits, settings.min_scale)
        arguments |= {"crop_size": arguments.pop("input_size"), "crop_min_scale": arguments.pop("min_scale")}
        blur = arguments.pop("gaussian_blur", None)
        first, second = (0.5, 0.1) if blur is None else (blur, blur)
        return MultiViewTransform(
            [
                SmoGViewTransform(gaussian_blur_prob=first, **arguments),
                SmoGViewTransform(gaussian_blur_prob=second, solarize_prob=0.2, **arguments),
            ]
        )

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the cross-entropy of the student's prediction with the teacher's group, and move the groups."""
        view, target = batch.views if torch.rand(()) < 0.5 else reversed(batch.views)
        embeddings = self.projection(self.backbone(view))
        with torch.no_grad():
            targets = self.teacher(target)
        return Loss(in_float32(self._loss, self.prediction(embeddings), embeddings, targets), {})

    def before_step(self, progress: float) -> None:
        """Remember the progress, so that ``after_step`` can see whether a reset is due."""
        self._progress = progress

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student; at a reset, copy the student and recompute the groups."""
        student = nn.Sequential(self.backbone, self.projection)
        self.bank.update()
        resets = self.settings.resets
        # No reset after the last step: nothing would be trained with it.
        if int(self._progress * resets) < int(progress * resets) < resets:
            follow(student, self.teacher, 0.0)
            self._reset_groups()
        else:
            follow(student, self.teacher, self.settings.momentum)

    def _loss(
        self,
        predictions: Float[Tensor, "batch dim"],
        embeddings: Float[Tensor, "batch dim"],
        targets: Float[Tensor, "batch dim"],
    ) -> Tensor:
        embeddings = normalize(embeddings, dim=1)
        target_groups = self.teacher_groups.assign_groups(targets)
        own = self.teacher_groups.assign_groups(embeddings)
        groups = moved(self.teacher_groups.group_features, embeddings, own, self.settings.group_momentum)
        logits = self.teacher_groups(predictions, groups, self.settings.temperature)
        self.teacher_groups.set_group_features(groups.detach())
        self.bank.put(embeddings)
        return cross_entropy(logits, target_groups)

    @torch.no_grad()
    def _reset_groups(self) -> None:
        filled = self.bank.keys[self.bank.keys.any(dim=1)]
        groups = self.teacher_groups.group_features
        if len(filled) >= len(groups):
            self.teacher_groups.set_group_features(spherical_kmeans(filled, len(groups)))


def groups_for(bank: int, most: int) -> int:
    """Return 300 groups per 10,000 entries of the bank, at least ``FEWEST_GROUPS``, at most ``most`` and ``bank``."""
    return min(most, bank, max(FEWEST_GROUPS, round(bank * 300 / 10_000)))


def moved(
    groups: Float[Tensor, "groups dim"],
    embeddings: Float[Tensor, "batch dim"],
    assignments: Int[Tensor, " batch"],
    momentum: float,
) -> Float[Tensor, "groups dim"]:
    """Return groups moved towards the mean of their embeddings, with gradient; empty ones stay [SMoG, equation 4]."""
    members = (assignments[:, None] == torch.arange(len(groups), device=groups.device)).to(embeddings.dtype)
    counts = members.sum(dim=0)[:, None]
    means = members.T @ embeddings / counts.clamp(min=1.0)
    return torch.where(counts > 0, momentum * groups + (1.0 - momentum) * means, groups)


def spherical_kmeans(
    points: Float[Tensor, "points dim"], groups: int, iterations: int = KMEANS_ITERATIONS
) -> Float[Tensor, "groups dim"]:
    """Return cluster centres by cosine similarity, all of length one; torch's global generator draws the first ones."""
    centres = points[torch.randperm(len(points))[:groups].to(points.device)]
    for _ in range(iterations):
        centres = normalize(moved(centres, points, (points @ centres.T).argmax(dim=1), 0.0), dim=1)
    return centres
