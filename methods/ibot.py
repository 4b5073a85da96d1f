"""iBOT: DINO on whole images, and the same on patches that the student does not see.

Recipe: ViT-S on ImageNet of the authors (https://github.com/bytedance/ibot, README): AdamW, decay 0.04 to 0.4, gradients clipped at 3, one
head for class token and patches, prototypes of free length, temperatures 0.1 and 0.04 to 0.07 over 30 of 800 epochs, half of the global
views masked by blocks, crops split at 0.25. Blocks have one patch or more where the least masked view has fewer than four. The teacher's
class token is evaluated.
Deviations: as in ``dino``: the head's ratio to the backbone, its batch norm and its start, prototypes frozen for a fifth of the training,
momentum 0.99 to 1 (0.996); rate 0.001 at 256 images (0.0005); two small crops (ten), from 0.15 of the area (0.05); no blur up to 32
pixels; lightly's centre of the patches follows the masked ones only. The recipe was not chosen by scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from lightly.models.utils import random_block_mask
from torch import Tensor, nn

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Needs, Recipe, input_of
from methods.parts.distillation import PatchLoss, PrototypeHead, ViewLoss
from methods.parts.masked import drawing_from, encode_masked, vit_of
from methods.parts.multi_crop import multi_crop
from methods.parts.patches import patches_per_side
from methods.parts.precision import in_float32
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.parts.temperature import temperature_at
from methods.traits import Traits

SMALLEST_BLOCK = 4
"""Patches of a masked block, where the least masked image has so many [BEiT]."""


@dataclass(frozen=True)
class IBOTSettings:
    """What is particular to iBOT.

    Attributes:
        student_temperature: Of the student's softmax.
        first_temperature: Of the teacher's at the start.
        teacher_temperature: Of the teacher's later.
        temperature_warmup: Part of the training in which it rises.
        centre: Momentum of both centres.
        momentum: Of the teacher at the start; it ends at 1.
        hidden: Hidden units of the head, in multiples of the backbone's features.
        bottleneck: Length of the vector that is compared with the prototypes, likewise.
        prototypes: Their number, likewise.
        frozen: Part of the training in which the prototypes stay as they are.
        masked_images: Share of the global views that is masked.
        least_masked: Smallest share of a masked view's patches.
        most_masked: Largest.
        local_views: Small crops of an image.
        border: Largest small crop and smallest large one, as a fraction of the image's area.
        min_scale: Smallest small crop, likewise.
    """

    student_temperature: float = 0.1
    first_temperature: float = 0.04
    teacher_temperature: float = 0.07
    temperature_warmup: float = 0.0375
    centre: float = 0.9
    momentum: float = 0.99
    hidden: int = 4
    bottleneck: float = 0.5
    prototypes: int = 8
    frozen: float = 0.2
    masked_images: float = 0.5
    least_masked: float = 0.1
    most_masked: float = 0.5
    local_views: int = 2
    border: float = 0.25
    min_scale: float = 0.15


class IBOT(Method):
    """A student with a mask token and a teacher, both with a head of prototypes."""

    title: ClassVar[str] = "iBOT"
    paper: ClassVar[str] = "https://arxiv.org/abs/2111.07832"
    family: ClassVar[Family] = "self-distillation"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=1e-3, weight_decay=0.04, final_weight_decay=0.4, clip=3.0, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = IBOTSettings

    def __init__(self, backbone: Backbone | None, settings: IBOTSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        vit_of(self.backbone, traits)
        features = self.backbone.dim
        prototypes = settings.prototypes * features
        self.head = PrototypeHead(
            features, settings.hidden * features, int(settings.bottleneck * features), prototypes, fixed_length=False
        )
        self.mask_token = nn.Parameter(torch.zeros(1, 1, features))
        self.teacher_backbone = teacher_of(self.backbone)
        self.teacher_head = self.head.teacher()
        arguments = {"student_temp": settings.student_temperature, "center_momentum": settings.centre}
        self.view_loss = ViewLoss(prototypes, **arguments)
        self.patch_loss = PatchLoss(prototypes, **arguments)

    @classmethod
    def views(cls, settings: IBOTSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two global views, the second solarised at times, then the local ones."""
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
        """Return what draws the masked patches of both global views, first those of one, then of the other."""
        side = patches_per_side(traits)
        least = int(side**2 * settings.least_masked)

        def draw(batch: int, generator: torch.Generator) -> Bool[Tensor, "views side side"]:
            with drawing_from(generator):
                masks: Tensor = random_block_mask(
                    (2 * batch, side, side),
                    settings.masked_images,
                    settings.least_masked,
                    settings.most_masked,
                    min_num_masks_per_block=SMALLEST_BLOCK if least >= SMALLEST_BLOCK else 1,
                )
            return masks

        return draw

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the cross-entropy of views and of masked patches."""
        loss, _ = self.distil(batch, progress)
        return loss

    def distil(self, batch: Batch, progress: float) -> tuple[Loss, list[Float[Tensor, "batch dim"]]]:
        """Return the loss, and the student's class tokens of both global views."""
        large = torch.cat(batch.views[:2])
        masks = batch.masks.to(large.device, non_blocking=True)
        # The places are counted on the CPU, where the masks were drawn: a device would have to be waited for.
        places = batch.masks.flatten().nonzero().squeeze(1).to(large.device, non_blocking=True)
        with torch.no_grad():
            seen = vit_of(self.teacher_backbone, self.traits).forward_features(large)
            view_targets = self.teacher_head(seen[:, 0])
            patch_targets = self.teacher_head(self._patches(seen, places))
        tokens = encode_masked(vit_of(self.backbone, self.traits), large, masks.flatten(1), self.mask_token)
        views = [self.head(tokens[:, 0])]
        if len(batch.views) > 2:
            views.append(self.head(self.backbone.features(torch.cat(batch.views[2:]), "class")))
        patches = self.head(self._patches(tokens, places))
        temperature = temperature_at(
            progress,
            self.settings.first_temperature,
            self.settings.teacher_temperature,
            self.settings.temperature_warmup,
        )
        size = len(large) // 2

        def of_views(target: Tensor, *student: Tensor) -> Tensor:
            outputs = [view for part in student for view in torch.split(part, size)]
            loss: Tensor = self.view_loss(list(torch.split(target, size)), outputs, temperature)
            return loss

        def of_patches(target: Tensor, student: Tensor) -> Tensor:
            loss: Tensor = self.patch_loss(target, student, masks, temperature)
            return loss

        parts = {
            "views": in_float32(of_views, view_targets, *views),
            "patches": in_float32(of_patches, patch_targets, patches),
        }
        return Loss(parts["views"] + parts["patches"], parts), list(torch.split(tokens[:, 0], size))

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
        """Return the teacher with its class token."""
        return Encoder(self.teacher_backbone, input_of(self.traits), "class")

    def _patches(self, tokens: Float[Tensor, "views tokens dim"], places: Tensor) -> Float[Tensor, "masked dim"]:
        return tokens[:, 1:].flatten(0, 1)[places]
