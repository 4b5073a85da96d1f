"""DINO: a student predicts the sharpened and centred distribution of a slowly moving teacher over prototypes.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/dino.yaml). The head has
three layers of 2048 on 512 features, a bottleneck of 256 and 4096 prototypes of unit length. The student's temperature
is 0.1, the centre's momentum 0.9. There are two crops of at least 0.08 of the area, the second solarised with
probability 0.2, and no local crops. Batch norm in the head, teacher temperature 0.04 and momentum 0.99 are those of
lightly's CIFAR-10 benchmark (https://github.com/lightly-ai/lightly,
docs/source/getting_started/benchmarks/cifar10_benchmark.py).

Deviations: the whole head keeps its ratio to the backbone. Its hidden weights have Xavier initialisation. The momentum
rises to 1, as in solo-learn. Images of up to 32 pixels are not blurred. The warm-up is a tenth of the training. The
prototypes are frozen for a fifth of the training instead of one epoch. AdamW with learning rate 0.002 at batch size 256
and weight decay 5e-4 (practically none: it shrinks weights by 0.015 % in 300 steps) replaces LARS with learning rate
0.3.

Why frozen so long: at first, only an eighth of the variation in the teacher's outputs is shared by two views of an
image, too little for sharpening to amplify. Prototypes that learn at this point make all outputs equal, and the loss
stays at the logarithm of their number. On digits (development images, 300 steps, resnet9_slim, seed 0, separate
script), accuracy in % with kNN / with one label per class and a frozen encoder, for the teacher: untrained 95.8 / 52.4;
frozen for a fifth of the training 91.0 / 65.1, for all of it 90.3 / 69.2 (student: 93.1 / 72.4 and 91.7 / 73.2);
momentum from 0.9 and frozen for 3 steps 57.6 / 29.8. Nothing was measured on FashionMNIST.

On a transformer, as in the paper: local crops in addition to the two global ones, the class token before the head,
AdamW, weight decay rising from 0.04 to 0.4, gradients clipped at norm 3 [Caron 2021;
https://github.com/facebookresearch/dino]. Deviations on a transformer: learning rate 0.001 at batch size 256 (theirs:
0.0005). Two local crops (theirs: eight) of at least 0.15 of the area (theirs: 0.05, which is only a few pixels here).
Batch norm in the head (theirs: none). The gradients are clipped by their norm over all parameters (theirs: parameter by
parameter). No stochastic depth (theirs: 0.1). This recipe was not chosen by scores.

The teacher is evaluated, as in the authors' code. Its batch norm uses the statistics of its batch in training and its
own running statistics in evaluation.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Pooling, Recipe, input_of
from methods.parts.distillation import PrototypeHead, ViewLoss
from methods.parts.multi_crop import multi_crop
from methods.parts.precision import in_float32
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.ranges import Fraction, LocalViews, Multiple, Positive, PositiveFraction, check_order
from methods.space import DECAY, RATE, TEACHER, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class DINOSettings:
    """What is particular to DINO.

    Attributes:
        student_temperature: Temperature of the student's softmax.
        teacher_temperature: Temperature of the teacher's softmax.
        centre: Momentum of the centre.
        momentum: The teacher's momentum at the start; it rises to 1.
        hidden: Hidden units of the head, in multiples of the backbone's features.
        bottleneck: Length of the vector that is compared with the prototypes, in multiples of the backbone's features.
        prototypes: Number of prototypes, in multiples of the backbone's features.
        frozen: Fraction of the training during which the prototypes are frozen.
        local_views: Local crops per image; None means two on a transformer and zero on other backbones.
        min_scale: Smallest crop if there are no local crops, as a fraction of the image's area.
        border: Largest local crop and smallest global crop if there are local crops, as a fraction of the image's area.
        min_local_scale: Smallest local crop, as a fraction of the image's area.
    """

    student_temperature: Positive = 0.1
    teacher_temperature: Positive = 0.04
    centre: Fraction = 0.9
    momentum: Fraction = 0.99
    hidden: Multiple = 4
    bottleneck: Positive = 0.5
    prototypes: Multiple = 8
    frozen: Fraction = 0.2
    local_views: LocalViews | None = None
    min_scale: PositiveFraction = 0.08
    border: PositiveFraction = 0.4
    min_local_scale: PositiveFraction = 0.15

    def __post_init__(self) -> None:
        """Check that the smallest local crop is not larger than the largest."""
        check_order(self, "min_local_scale", "border")


class DINO(Method):
    """A student and a teacher, each with a prototype head."""

    title: ClassVar[str] = "DINO"
    paper: ClassVar[str] = "https://arxiv.org/abs/2104.14294"
    family: ClassVar[Family] = "self-distillation"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=1e-3, weight_decay=0.04, final_weight_decay=0.4, clip=3.0, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "teacher_temperature": Between(0.02, 0.08, log=True),
        "momentum": TEACHER,
    }
    Settings: ClassVar[type[Any]] = DINOSettings

    def __init__(self, backbone: Backbone | None, settings: DINOSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        transformer = self.backbone.kind == "transformer"
        if settings.local_views is None:
            self.settings = replace(settings, local_views=2 if transformer else 0)
        self.pooling: Pooling = "class" if transformer else self.backbone.pooling
        features = self.backbone.dim
        prototypes = settings.prototypes * features
        self.head = PrototypeHead(
            features,
            settings.hidden * features,
            max(1, int(settings.bottleneck * features)),
            prototypes,
            fixed_length=True,
        )
        self.teacher_backbone = teacher_of(self.backbone)
        self.teacher_head = self.head.teacher()
        self.criterion = ViewLoss(
            prototypes, student_temp=settings.student_temperature, center_momentum=settings.centre
        )

    @classmethod
    def views(cls, settings: DINOSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two global crops, the second solarised at random, then the local crops."""
        large = (settings.border if settings.local_views else settings.min_scale, 1.0)
        return multi_crop(
            traits,
            global_scale=large,
            local_scale=(settings.min_local_scale, settings.border),
            local_views=settings.local_views or 0,
            blur=(1.0, 0.1, 0.5),
            solarisation=0.2,
        )

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean cross-entropy over pairs of a teacher's global crop and another crop of the student."""
        large, small = batch.views[:2], batch.views[2:]
        student = [self.head(self.backbone.features(torch.cat(large), self.pooling))]
        if small:
            student.append(self.head(self.backbone.features(torch.cat(small), self.pooling)))
        with torch.no_grad():
            teacher = self.teacher_head(self.teacher_backbone.features(torch.cat(large), self.pooling))
        return Loss(in_float32(self._cross_entropy, teacher, *student), {})

    def before_step(self, progress: float) -> None:
        """Freeze the prototypes at the start of the training."""
        if progress < self.settings.frozen:
            self.head.freeze_prototypes()

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        momentum = momentum_at(progress, self.settings.momentum)
        follow(self.backbone, self.teacher_backbone, momentum)
        follow(self.head, self.teacher_head, momentum)

    def encoder(self) -> Encoder:
        """Return the teacher, as in the authors' code; on a transformer with the class token."""
        return Encoder(self.teacher_backbone, input_of(self.traits), self.pooling)

    def _cross_entropy(self, teacher: Float[Tensor, "views prototypes"], *student: Tensor) -> Tensor:
        size = len(teacher) // 2
        views = [view for outputs in student for view in torch.split(outputs, size)]
        loss: Tensor = self.criterion(list(torch.split(teacher, size)), views, self.settings.teacher_temperature)
        return loss
