"""I-JEPA: from a part of the image, the features that a teacher gives to other parts are predicted.

Recipe: the authors' (https://github.com/facebookresearch/ijepa, configs/in1k_vith14_ep300.yaml): AdamW, decay 0.04 to 0.4, four target blocks and
one context without them (``parts/blocks.py``), one crop from 0.3 without a flip, smooth L1 to the teacher's features, each
normalised over its length (no gain), the teacher's momentum rising linearly to 1; the predictor is half as wide and half as deep as the backbone, as
theirs for ViT-B (384 and 6 to 768 and 12), with its heads.
Deviations: the backbone's class token stays and is seen with the context; blocks may lie at the grid's lower and right edge; a warm-up of a
tenth of the training (40 of 300 epochs there); a rate of 5e-4 (1.25e-4 at 256 images) and a momentum from 0.99 (0.996).
In so short a training nothing tried is better than the untrained network. On the development task of digits (60 epochs, vit_nano,
seed 0: nearest neighbours, then one label a class, frozen): untrained 59.3 and 22.1; rate 2e-3 with momentum 0.996 54.5 and 19.3,
with 0.95 54.5 and 20.0 (the features of a place become alike: the loss falls to a fifth of the slower teacher's); 5e-4 with 0.99 57.2 and 21.2.
The teacher is evaluated, by the mean of its patch tokens, as in the paper.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from lightly.models.modules.ijepa_timm import IJEPAPredictorTIMM
from lightly.models.utils import apply_masks
from torch import Tensor
from torch.nn.functional import layer_norm, smooth_l1_loss

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Needs, Recipe, input_of
from methods.parts.blocks import Blocks
from methods.parts.cropped import cropped_view
from methods.parts.masked import attention_heads, encode_kept, vit_of
from methods.parts.patches import patches_per_side
from methods.parts.precision import in_float32
from methods.parts.teacher import follow, teacher_of
from methods.traits import Traits


@dataclass(frozen=True)
class IJEPASettings:
    """What is particular to I-JEPA.

    Attributes:
        momentum: Of the teacher at the start; it ends at 1.
        width: Of the predictor, as a fraction of the backbone's features.
        depth: Of the predictor, as a fraction of the backbone's depth.
        targets: Blocks to predict in an image.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    momentum: float = 0.99
    width: float = 0.5
    depth: float = 0.5
    targets: int = 4
    min_scale: float = 0.3


class IJEPA(Method):
    """A student on the context, a predictor, and a teacher on the whole image."""

    title: ClassVar[str] = "I-JEPA"
    paper: ClassVar[str] = "https://arxiv.org/abs/2301.08243"
    family: ClassVar[Family] = "self-distillation"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=5e-4, weight_decay=0.04, final_weight_decay=0.4, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = IJEPASettings

    def __init__(self, backbone: Backbone | None, settings: IJEPASettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        vit = vit_of(self.backbone, traits)
        self.predictor = IJEPAPredictorTIMM(
            num_patches=patches_per_side(traits) ** 2,
            depth=max(1, round(settings.depth * len(vit.blocks))),
            mlp_dim=self.backbone.dim,
            predictor_embed_dim=int(settings.width * self.backbone.dim),
            num_heads=attention_heads(vit),
        )
        self.teacher = teacher_of(self.backbone)

    @classmethod
    def views(cls, settings: IJEPASettings, traits: Traits) -> Callable[[Any], Any]:
        """Return one crop; lightly's pipeline gives a bare tensor, and always flips."""
        return cropped_view(traits, settings.min_scale, flip=False)

    @classmethod
    def collate(cls, settings: IJEPASettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return what draws the context and the targets."""
        blocks = Blocks(targets=settings.targets)
        return lambda batch, generator: blocks.draw(batch, patches_per_side(traits), generator)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the smooth L1 distance over all targets."""
        images = batch.views[0]
        context = batch.masks[0].to(images.device)
        targets = [patches.to(images.device) for patches in batch.masks[1]]
        return Loss(
            in_float32(smooth_l1_loss, self.predict(images, context, targets), self.wanted(images, targets)), {}
        )

    def predict(
        self,
        images: Float[Tensor, "batch channels size size"],
        context: Int[Tensor, "batch context"],
        targets: list[Int[Tensor, "batch patches"]],
    ) -> Float[Tensor, "blocks patches dim"]:
        """Return the predictions for each target block, all images of the first block first."""
        vit = vit_of(self.backbone, self.traits)
        seen = encode_kept(vit, images, context)[:, vit.num_prefix_tokens :]
        predictions: Tensor = self.predictor(seen, context, targets)
        return predictions

    def wanted(
        self, images: Float[Tensor, "batch channels size size"], targets: list[Int[Tensor, "batch patches"]]
    ) -> Float[Tensor, "blocks patches dim"]:
        """Return the teacher's features of the same patches of the whole image, normalised."""
        vit = vit_of(self.teacher, self.traits)
        with torch.no_grad():
            patches = vit.forward_features(images)[:, vit.num_prefix_tokens :]
            chosen: Tensor = apply_masks(layer_norm(patches.float(), patches.shape[-1:]), targets)
        return chosen

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        start = self.settings.momentum
        follow(self.backbone, self.teacher, start + (1.0 - start) * progress)

    def encoder(self) -> Encoder:
        """Return the teacher."""
        return Encoder(self.teacher, input_of(self.traits))
