"""DINO: a student predicts, over prototypes, the sharpened and centred output of its slowly moving teacher.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/dino.yaml): a head of three layers of 2048 on
512 features, bottleneck 256, 4096 prototypes of length one; the student's temperature 0.1, centre 0.9; two crops from 0.08 up, the second
solarised with 0.2, no small crops. Batch norm in the head, teacher temperature 0.04 and momentum 0.99 are those of lightly's CIFAR-10
benchmark (https://github.com/lightly-ai/lightly, docs/source/getting_started/benchmarks/cifar10_benchmark.py).
Deviations: the whole head keeps its ratio to the backbone; its hidden weights start as Xavier's; momentum rises to 1, as in solo-learn; no
blur up to 32 pixels; a warm-up of a tenth of the training; the prototypes are frozen for a fifth of it, not for one epoch; AdamW, rate
0.002 at 256 images, decay 5e-4, in the place of LARS with rate 0.3.
Why frozen so long: at first only an eighth of what the teacher's outputs vary by is shared by two views of an image, too little for
sharpening to amplify; prototypes that learn then make all outputs alike, and the loss stays at the logarithm of their number. On digits
(development images, 300 steps, resnet9_slim, seed 0, own script), teacher, kNN / one label a class: untrained 95.8 / 52.4, frozen for a
fifth 91.0 / 65.1, for the whole 90.3 / 69.2 (student: 93.1 / 72.4 and 91.7 / 73.2); momentum from 0.9, frozen for 3 steps, 57.6 / 29.8.
On FashionMNIST nothing was measured.
On a transformer, as in the paper: small crops beside the two large ones, the class token before the head, AdamW, decay 0.04 to 0.4,
gradients clipped at 3 [Caron 2021; https://github.com/facebookresearch/dino]. Deviations there: rate 0.001 at 256 images (0.0005), two
small crops (eight), from 0.15 of the area (0.05, a handful of pixels here), batch norm in the head (none). The recipe was not chosen by scores.

What is evaluated is the teacher, as in the authors' code. Its batch norm uses its own running statistics there, its batch in training.
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
from methods.traits import Traits


@dataclass(frozen=True)
class DINOSettings:
    """What is particular to DINO.

    Attributes:
        student_temperature: Of the student's softmax.
        teacher_temperature: Of the teacher's.
        centre: Momentum of the centre.
        momentum: Of the teacher at the start; it ends at 1.
        hidden: Hidden units of the head, in multiples of the backbone's features.
        bottleneck: Length of the vector that is compared with the prototypes, likewise.
        prototypes: Their number, likewise.
        frozen: Part of the training in which the prototypes stay as they are.
        local_views: Small crops of an image; None for two on a transformer, none on other backbones.
        min_scale: Smallest crop where there are no small ones, as a fraction of the image's area.
        border: With small crops: their largest, and the smallest large one, likewise.
        min_local_scale: Smallest small crop, likewise.
    """

    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    centre: float = 0.9
    momentum: float = 0.99
    hidden: int = 4
    bottleneck: float = 0.5
    prototypes: int = 8
    frozen: float = 0.2
    local_views: int | None = None
    min_scale: float = 0.08
    border: float = 0.4
    min_local_scale: float = 0.15


class DINO(Method):
    """A student and a teacher, both with a head of prototypes."""

    title: ClassVar[str] = "DINO"
    paper: ClassVar[str] = "https://arxiv.org/abs/2104.14294"
    family: ClassVar[Family] = "self-distillation"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=1e-3, weight_decay=0.04, final_weight_decay=0.4, clip=3.0, warmup=0.1
    )
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
            int(settings.bottleneck * features),
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
        """Return two global views, the second solarised at times, then the local ones."""
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
        """Return the cross-entropy of all pairs of a teacher's global view and another view of the student."""
        large, small = batch.views[:2], batch.views[2:]
        student = [self.head(self.backbone.features(torch.cat(large), self.pooling))]
        if small:
            student.append(self.head(self.backbone.features(torch.cat(small), self.pooling)))
        with torch.no_grad():
            teacher = self.teacher_head(self.teacher_backbone.features(torch.cat(large), self.pooling))
        return Loss(in_float32(self._cross_entropy, teacher, *student), {})

    def before_step(self, progress: float) -> None:
        """Keep the prototypes as they are for their part of the training."""
        if progress < self.settings.frozen:
            self.head.freeze_prototypes()

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        momentum = momentum_at(progress, self.settings.momentum)
        follow(self.backbone, self.teacher_backbone, momentum)
        follow(self.head, self.teacher_head, momentum)

    def encoder(self) -> Encoder:
        """Return the teacher, which the paper evaluates; of a transformer the class token."""
        return Encoder(self.teacher_backbone, input_of(self.traits), self.pooling)

    def _cross_entropy(self, teacher: Float[Tensor, "views prototypes"], *student: Tensor) -> Tensor:
        size = len(teacher) // 2
        views = [view for outputs in student for view in torch.split(outputs, size)]
        loss: Tensor = self.criterion(list(torch.split(teacher, size)), views, self.settings.teacher_temperature)
        return loss
