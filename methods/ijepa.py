"""I-JEPA: from one part of an image, a student predicts the features that a teacher has of other parts.

Recipe: the authors' (https://github.com/facebookresearch/ijepa, configs/in1k_vith14_ep300.yaml). AdamW, weight decay
rising from 0.04 to 0.4; four target blocks and one context without them (``parts/blocks.py``); one crop of at least 0.3
of the area, not flipped; smooth L1 loss to the teacher's features, each normalised over its length by a layer norm
without affine parameters; the teacher's momentum rises linearly to 1. The predictor is half as wide and half as deep as
the backbone, as theirs for ViT-B (384 and 6 to 768 and 12), with as many attention heads.

Deviations: the backbone keeps its class token, which is encoded together with the context. Blocks may reach the grid's
last row and column. The warm-up is a tenth of the training (theirs: 40 of 300 epochs). The learning rate is 5e-4 at
batch size 256 (theirs: 1.25e-4), and the momentum starts at 0.99 (theirs: 0.996).

In trainings this short, none of the recipes tried is better than the untrained network. On the development task of
digits (60 epochs, vit_nano, seed 0), accuracy in % with kNN / with one label per class and a frozen encoder: untrained
59.3 / 22.1. With learning rate 2e-3 and momentum 0.996: 54.5 / 19.3; with 2e-3 and 0.95: 54.5 / 20.0 (the features of a
position become alike, and the loss falls to a fifth of that with the slower teacher). With 5e-4 and 0.99 (this recipe):
57.2 / 21.2.

As in the paper, the teacher is evaluated, with the mean of its patch tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
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
from methods.parts.rows import by_rows
from methods.parts.teacher import follow, teacher_of
from methods.ranges import Fraction, PositiveFraction
from methods.space import DECAY, RATE, TEACHER, OneOf, Space
from methods.traits import Traits


@dataclass(frozen=True)
class IJEPASettings:
    """What is particular to I-JEPA.

    Attributes:
        momentum: The teacher's momentum at the start; it rises to 1.
        width: Width of the predictor, as a fraction of the backbone's features.
        depth: Depth of the predictor, as a fraction of the backbone's depth.
        targets: Blocks to predict per image.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    momentum: Fraction = 0.99
    width: PositiveFraction = 0.5
    depth: PositiveFraction = 0.5
    targets: Annotated[int, Interval(ge=1, le=8)] = 4
    min_scale: PositiveFraction = 0.3


class IJEPA(Method):
    """A student that encodes the context, a predictor, and a teacher that encodes the whole image."""

    title: ClassVar[str] = "I-JEPA"
    paper: ClassVar[str] = "https://arxiv.org/abs/2301.08243"
    family: ClassVar[Family] = "self-distillation"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=5e-4, weight_decay=0.04, final_weight_decay=0.4, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "momentum": TEACHER,
        "targets": OneOf((1, 2, 4, 6)),
    }
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
        """Return one crop; lightly's pipeline is not used, because it always flips and returns a bare tensor."""
        return cropped_view(traits, settings.min_scale, flip=False)

    @classmethod
    def collate(cls, settings: IJEPASettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return a function that draws the context and target blocks."""
        blocks = Blocks(targets=settings.targets)
        return lambda batch, generator: blocks.draw(batch, patches_per_side(traits), generator)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean smooth L1 distance over all targets."""
        images = batch.views[0]
        context, targets = batch.masks
        return Loss(
            in_float32(smooth_l1_loss, self.predict(images, context, targets), self.target_features(images, targets)),
            {},
        )

    def predict(
        self,
        images: Float[Tensor, "batch channels size size"],
        context: Int[Tensor, "batch context"],
        targets: list[Int[Tensor, "batch patches"]],
    ) -> Float[Tensor, "blocks patches dim"]:
        """Return the predicted features of the target blocks, all images of the first block first."""
        vit = vit_of(self.backbone, self.traits)
        encoded = encode_kept(vit, images, context)[:, vit.num_prefix_tokens :]
        predictions: Tensor = self.predictor(encoded, context, targets)
        return predictions

    def target_features(
        self, images: Float[Tensor, "batch channels size size"], targets: list[Int[Tensor, "batch patches"]]
    ) -> Float[Tensor, "blocks patches dim"]:
        """Return the teacher's normalised features of the target patches, in the order of ``predict``."""
        vit = vit_of(self.teacher, self.traits)
        with torch.no_grad():
            patches = by_rows(vit.forward_features, images)[:, vit.num_prefix_tokens :]
            chosen: Tensor = apply_masks(layer_norm(patches.float(), patches.shape[-1:]), targets)
        return chosen

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        start = self.settings.momentum
        follow(self.backbone, self.teacher, start + (1.0 - start) * progress)

    def encoder(self) -> Encoder:
        """Return the teacher."""
        return Encoder(self.teacher, input_of(self.traits))
