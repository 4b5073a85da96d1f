"""iBOT: DINO on whole images, and the same loss on patches that are masked for the student.

Recipe: the authors' for ViT-S on ImageNet (https://github.com/bytedance/ibot, README). AdamW, weight decay rising from
0.04 to 0.4, gradients clipped at norm 3. Class token and patches share one head, whose prototypes are not normalised.
The student's temperature is 0.1; the teacher's rises from 0.04 to 0.07 over 30 of 800 epochs. Half of the global crops
are masked in blocks. Global crops cover at least 0.25 of the area, local crops at most 0.25. Blocks have at least
four patches, or at least one if the least masked crop has fewer than four masked patches. The teacher is evaluated,
with its class token.

Deviations: as in ``dino``, the head keeps its ratio to the backbone and has batch norm and Xavier initialisation, the
prototypes are frozen for a fifth of the training, and the teacher's momentum rises from 0.99 to 1 (theirs: from 0.996).
The learning rate is 0.001 at batch size 256 (theirs: 0.0005). There are two local crops (theirs: ten) of at least 0.15
of the area (theirs: 0.05). Images of up to 32 pixels are not blurred. Gradients are clipped by their norm over all
parameters (theirs: parameter by parameter), and there is no stochastic depth (theirs: 0.1). The centre of the patches
follows only the masked ones, as in lightly. The recipe was not chosen by scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.models.utils import random_block_mask
from torch import Tensor, nn

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Needs, Recipe, input_of
from methods.parts.distillation import PatchLoss, PatchMasks, PrototypeHead, ViewLoss
from methods.parts.masked import drawing_from, encode_masked, vit_of
from methods.parts.multi_crop import multi_crop
from methods.parts.patches import patches_per_side
from methods.parts.precision import in_float32
from methods.parts.rows import by_rows
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.parts.temperature import temperature_at
from methods.ranges import Fraction, LocalViews, Multiple, Positive, PositiveFraction, check_order
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

SMALLEST_BLOCK = 4
"""Fewest patches of a masked block, if the least masked image has that many [BEiT]."""


@dataclass(frozen=True)
class IBOTSettings:
    """What is particular to iBOT.

    Attributes:
        student_temperature: Temperature of the student's softmax.
        first_temperature: Temperature of the teacher's softmax at the start.
        teacher_temperature: Temperature of the teacher's softmax after its warm-up.
        temperature_warmup: Fraction of the training during which it rises.
        centre: Momentum of the centres of crops and patches.
        momentum: The teacher's momentum at the start; it rises to 1.
        hidden: Hidden units of the head, in multiples of the backbone's features.
        bottleneck: Length of the vector that is compared with the prototypes, in multiples of the backbone's features.
        prototypes: Number of prototypes, in multiples of the backbone's features.
        frozen: Fraction of the training during which the prototypes are frozen.
        masked_images: Fraction of the global crops that are masked.
        least_masked: Smallest fraction of masked patches in a masked crop.
        most_masked: Largest fraction of masked patches in a masked crop.
        local_views: Local crops per image.
        border: Largest local crop and smallest global crop, as a fraction of the image's area.
        min_scale: Smallest local crop, as a fraction of the image's area.
    """

    student_temperature: Positive = 0.1
    first_temperature: Positive = 0.04
    teacher_temperature: Positive = 0.07
    temperature_warmup: Fraction = 0.0375
    centre: Fraction = 0.9
    momentum: Fraction = 0.99
    hidden: Multiple = 4
    bottleneck: Positive = 0.5
    prototypes: Multiple = 8
    frozen: Fraction = 0.2
    masked_images: Fraction = 0.5
    least_masked: Fraction = 0.1
    most_masked: Fraction = 0.5
    local_views: LocalViews = 2
    border: PositiveFraction = 0.25
    min_scale: PositiveFraction = 0.15

    def __post_init__(self) -> None:
        """Check that smallest values are not larger than largest ones."""
        check_order(self, "min_scale", "border")
        check_order(self, "least_masked", "most_masked")


class IBOT(Method):
    """A student with a mask token and a teacher, each with a prototype head."""

    title: ClassVar[str] = "iBOT"
    paper: ClassVar[str] = "https://arxiv.org/abs/2111.07832"
    family: ClassVar[Family] = "self-distillation"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=1e-3, weight_decay=0.04, final_weight_decay=0.4, clip=3.0, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "teacher_temperature": Between(0.04, 0.09),
        "most_masked": Between(0.2, 0.7),
    }
    Settings: ClassVar[type[Any]] = IBOTSettings

    def __init__(self, backbone: Backbone | None, settings: IBOTSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        vit_of(self.backbone, traits)
        features = self.backbone.dim
        prototypes = settings.prototypes * features
        self.head = PrototypeHead(
            features,
            settings.hidden * features,
            max(1, int(settings.bottleneck * features)),
            prototypes,
            fixed_length=False,
        )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, features))
        self.teacher_backbone = teacher_of(self.backbone)
        self.teacher_head = self.head.teacher()
        arguments = {"student_temp": settings.student_temperature, "center_momentum": settings.centre}
        self.view_loss = ViewLoss(prototypes, **arguments)
        self.patch_loss = PatchLoss(prototypes, **arguments)

    @classmethod
    def views(cls, settings: IBOTSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two global crops, the second solarised at random, then the local crops."""
        return multi_crop(
            traits,
            global_scale=(settings.border, 1.0),
            local_scale=(settings.min_scale, settings.border),
            local_views=settings.local_views,
            blur=(1.0, 0.1, 0.5),
            solarisation=0.2,
        )

    @classmethod
    def collate(cls, settings: IBOTSettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return a function that draws the masks of the global crops, all images of the first crop first."""
        side = patches_per_side(traits)
        least = int(side**2 * settings.least_masked)

        def draw(batch: int, generator: torch.Generator) -> PatchMasks:
            with drawing_from(generator):
                masks: Tensor = random_block_mask(
                    (2 * batch, side, side),
                    settings.masked_images,
                    settings.least_masked,
                    settings.most_masked,
                    min_num_masks_per_block=SMALLEST_BLOCK if least >= SMALLEST_BLOCK else 1,
                )
            return PatchMasks.of(masks)

        return draw

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the cross-entropy of crops plus that of masked patches, and both as parts."""
        loss, _ = self.distil(batch, progress)
        return loss

    def distil(self, batch: Batch, progress: float) -> tuple[Loss, list[Float[Tensor, "batch dim"]]]:
        """Return the loss and the student's class tokens of each global crop."""
        large = torch.cat(batch.views[:2])
        masks: PatchMasks = batch.masks
        with torch.no_grad():
            teacher_tokens = by_rows(vit_of(self.teacher_backbone, self.traits).forward_features, large)
            view_targets = self.teacher_head(teacher_tokens[:, 0])
            patch_targets = self.teacher_head(self._patches(teacher_tokens, masks.positions))
        tokens = encode_masked(vit_of(self.backbone, self.traits), large, masks.masks.flatten(1), self.mask_token)
        views = [self.head(tokens[:, 0])]
        if len(batch.views) > 2:
            views.append(self.head(self.backbone.features(torch.cat(batch.views[2:]), "class")))
        patches = self.head(self._patches(tokens, masks.positions))
        temperature = temperature_at(
            progress,
            self.settings.first_temperature,
            self.settings.teacher_temperature,
            self.settings.temperature_warmup,
        )
        size = len(large) // 2

        def views_loss(target: Tensor, *student: Tensor) -> Tensor:
            outputs = [view for part in student for view in torch.split(part, size)]
            loss: Tensor = self.view_loss(list(torch.split(target, size)), outputs, temperature)
            return loss

        def patches_loss(target: Tensor, student: Tensor) -> Tensor:
            loss: Tensor = self.patch_loss(target, student, masks, temperature)
            return loss

        parts = {
            "views": in_float32(views_loss, view_targets, *views),
            "patches": in_float32(patches_loss, patch_targets, patches),
        }
        return Loss(parts["views"] + parts["patches"], parts), list(torch.split(tokens[:, 0], size))

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
        """Return the teacher, with its class token."""
        return Encoder(self.teacher_backbone, input_of(self.traits), "class")

    def _patches(self, tokens: Float[Tensor, "views tokens dim"], positions: Tensor) -> Float[Tensor, "masked dim"]:
        return tokens[:, 1:].flatten(0, 1)[positions]
