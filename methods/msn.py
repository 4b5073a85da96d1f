"""MSN: a student that sees only some patches assigns an image to the same prototypes as a teacher that sees all.

Recipe: lightly's on Imagenette (https://github.com/lightly-ai/lightly,
docs/source/getting_started/benchmarks/imagenette_benchmark.py). AdamW with betas 0.9 and 0.95 and weight decay 0.05;
15 % of each anchor's patches dropped; 1024 prototypes; temperature 0.1, sharpened by 0.25; weight 1 of the mean
entropy; global crops of at least 0.3 of the area. As in the authors' code
(https://github.com/facebookresearch/msn), the prototypes are trained without weight decay, the class tokens of all
anchors pass through the projector as one batch, gradients are clipped at norm 3, and the teacher is evaluated, with its
class token.

Deviations: the learning rate is 0.001 at batch size 256 (theirs: 1.5e-4), and the teacher's momentum rises from 0.97 to
1 (theirs: from 0.996), because the training is short. The prototypes are frozen for half of the training; otherwise all
assignments become alike (see ``dino``). With learning rate 0.002, momentum 0.99 and prototypes trained from the start,
the loss on digits stayed at the logarithm of their number. There are two focal views (theirs: ten) of at least 0.15 of
the area (theirs: 0.05, which is only a few pixels here). The colour jitter is halved. Crops are bicubic. The norm at
which gradients are clipped includes the prototypes (theirs: only the network). The projector's hidden layers keep their
ratio to the backbone. Images of up to 32 pixels are not blurred. The recipe was not chosen by scores.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from lightly.loss.msn_loss import MSNLoss, prototype_probabilities, sharpen, sinkhorn
from lightly.models.modules.heads import MSNProjectionHead
from torch import Tensor, nn
from torch.nn.functional import log_softmax, normalize

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Needs, Recipe, input_of
from methods.parts.masked import encode_kept, random_patches, vit_of
from methods.parts.multi_crop import local_size, multi_crop
from methods.parts.patches import patch_size, patches_per_side
from methods.parts.precision import in_float32
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.ranges import (
    BelowOne,
    Count,
    Fraction,
    LocalViews,
    Multiple,
    NotNegative,
    Positive,
    PositiveFraction,
    Strength,
    check_order,
)
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

SMALLEST_PROBABILITY = 1e-8
"""Sharpening raises probabilities to the power of four: smaller ones become zero, and Sinkhorn's division gives NaN."""


@dataclass(frozen=True)
class MSNSettings:
    """What is particular to MSN.

    Attributes:
        temperature: Temperature of the softmax over prototypes.
        sharpening: Temperature that sharpens the teacher's probabilities.
        prior: Weight of the term that keeps all prototypes in use.
        masked: Fraction of an anchor's patches that are dropped.
        momentum: The teacher's momentum at the start; it rises to 1.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        prototypes: Number of prototypes.
        frozen: Fraction of the training during which the prototypes are frozen.
        focal_views: Focal views (local crops) per image.
        jitter: Strength of the colour jitter.
        border: Largest local crop and smallest global crop, as a fraction of the image's area.
        min_scale: Smallest local crop, as a fraction of the image's area.
    """

    temperature: Positive = 0.1
    sharpening: PositiveFraction = 0.25
    prior: NotNegative = 1.0
    masked: BelowOne = 0.15
    momentum: Fraction = 0.97
    hidden: Multiple = 4
    dim: Count = 256
    prototypes: Count = 1024
    frozen: Fraction = 0.5
    focal_views: LocalViews = 2
    jitter: Strength = 0.5
    border: PositiveFraction = 0.3
    min_scale: PositiveFraction = 0.15

    def __post_init__(self) -> None:
        """Check that the smallest focal view is not larger than the largest."""
        check_order(self, "min_scale", "border")


class MSN(Method):
    """A student and a teacher, each with a projector, and prototypes that they share."""

    title: ClassVar[str] = "MSN"
    paper: ClassVar[str] = "https://arxiv.org/abs/2204.07141"
    family: ClassVar[Family] = "self-distillation"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=1e-3, weight_decay=0.05, betas=(0.9, 0.95), clip=3.0, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "masked": Between(0.1, 0.7),
        "prior": Between(0.25, 5.0, log=True),
    }
    Settings: ClassVar[type[Any]] = MSNSettings

    def __init__(self, backbone: Backbone | None, settings: MSNSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        self.projection = MSNProjectionHead(features, settings.hidden * features, settings.dim)
        self.prototypes = nn.Parameter(torch.empty(settings.prototypes, settings.dim))
        nn.init.uniform_(self.prototypes, -1 / math.sqrt(settings.dim), 1 / math.sqrt(settings.dim))
        self.teacher_backbone = teacher_of(self.backbone)
        self.teacher_projection = teacher_of(self.projection)
        self.criterion = MSNLoss()

    @classmethod
    def views(cls, settings: MSNSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return the target view, the anchor view, then the focal views."""
        return multi_crop(
            traits,
            global_scale=(settings.border, 1.0),
            local_scale=(settings.min_scale, settings.border),
            local_views=settings.focal_views,
            blur=(0.5, 0.5, 0.5),
            solarisation=0.0,
            cj_strength=settings.jitter,
            cj_bright=0.8,
            cj_contrast=0.8,
            cj_sat=0.8,
            cj_hue=0.2,
        )

    @classmethod
    def collate(cls, settings: MSNSettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return a function that draws the patches to keep of the anchors and of the focal views."""
        anchor_patches = patches_per_side(traits) ** 2
        focal_patches = (local_size(traits) // patch_size(traits.size)) ** 2

        def draw(batch: int, generator: torch.Generator) -> tuple[Int[Tensor, "..."], Int[Tensor, "..."]]:
            anchors, _ = random_patches(batch, anchor_patches, settings.masked, generator)
            focal, _ = random_patches(settings.focal_views * batch, focal_patches, settings.masked, generator)
            return anchors, focal

        return draw

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the cross-entropy of the anchors' assignments with the target's, plus the prior on their mean."""
        target, anchor, *focal = batch.views
        vit = vit_of(self.backbone, self.traits)
        kept, focal_kept = batch.masks
        tokens = [encode_kept(vit, anchor, kept)[:, 0]]
        if focal:
            tokens.append(encode_kept(vit, torch.cat(focal), focal_kept)[:, 0])
        anchors = self.projection(torch.cat(tokens))
        with torch.no_grad():
            targets = self.teacher_projection(self.teacher_backbone.features(target, "class"))
        return Loss(in_float32(self.assignment_loss, anchors, targets, self.prototypes), {})

    def assignment_loss(
        self,
        anchors: Float[Tensor, "anchors dim"],
        targets: Float[Tensor, "batch dim"],
        prototypes: Float[Tensor, "prototypes dim"],
    ) -> Float[Tensor, ""]:
        """Return the loss [equations 1 and 2]; unlike lightly's ``MSNLoss``, it is finite if probabilities vanish."""
        anchors, targets, prototypes = (normalize(vectors, dim=1) for vectors in (anchors, targets, prototypes))
        logarithms = log_softmax(anchors @ prototypes.T / self.settings.temperature, dim=1)
        with torch.no_grad():
            assigned = prototype_probabilities(targets, prototypes, self.settings.temperature)
            assigned = sinkhorn(sharpen(assigned.clamp(min=SMALLEST_PROBABILITY), self.settings.sharpening))
            assigned = assigned.repeat(len(anchors) // len(targets), 1)
        prior = self.prior_loss(logarithms.exp().mean(0))
        loss: Tensor = -(assigned * logarithms).sum(1).mean() + self.settings.prior * prior
        return loss

    def prior_loss(self, mean: Float[Tensor, " prototypes"]) -> Float[Tensor, ""]:
        """Return the logarithm of the number of prototypes minus the entropy of the mean assignment."""
        loss: Tensor = self.criterion.regularization_loss(mean)
        return loss

    def before_step(self, progress: float) -> None:
        """Freeze the prototypes at the start of the training."""
        if progress < self.settings.frozen:
            self.prototypes.grad = None

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        momentum = momentum_at(progress, self.settings.momentum)
        follow(self.backbone, self.teacher_backbone, momentum)
        follow(self.projection, self.teacher_projection, momentum)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the default groups, but without weight decay for the prototypes."""
        decayed, plain = super().parameter_groups()
        decayed["params"] = [p for p in decayed["params"] if p is not self.prototypes]
        plain["params"].append(self.prototypes)
        return [decayed, plain]

    def encoder(self) -> Encoder:
        """Return the teacher, with its class token."""
        return Encoder(self.teacher_backbone, input_of(self.traits), "class")
