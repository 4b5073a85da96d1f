"""MAE: three quarters of the patches are masked, and a small decoder reconstructs their pixels from the rest.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/mae.yaml). AdamW with
betas 0.9 and 0.95 and weight decay 0.05; three quarters of the patches masked; mean squared error on masked patches
only, with pixels normalised per patch [He 2021, section 3]. The warm-up of a twentieth of the training and crops of at
least 0.2 of the area are the authors' (https://github.com/facebookresearch/mae).

Deviations: the decoder keeps its ratio to the encoder. It is as wide as the encoder (decoder to encoder: 512 to 384 in
solo-learn, 512 to 768 in the paper) and two thirds as deep (8 to 12); its attention heads have width 32. The learning
rate is ten times solo-learn's, which is made for a longer training.

Why not 2e-4: on the development task of digits (60 epochs, vit_nano, seed 0), accuracy in % with kNN / with one label
per class and a frozen encoder is 64.1 / 27.0 with learning rate 2e-4, 68.3 / 27.8 with this recipe, and 59.3 / 22.1
for the untrained network. With 2e-4 the loss stays near its start (0.54; with this recipe 0.46).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from lightly.models.modules import MaskedVisionTransformerDecoderTIMM
from lightly.models.utils import get_at_index, repeat_token, set_at_index
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from methods.base import Backbone, Batch, Family, Loss, Method, Needs, Recipe
from methods.parts.cropped import cropped_view
from methods.parts.masked import encode_kept, random_patches, vit_of
from methods.parts.patches import patch_pixels, patches_per_side
from methods.parts.precision import in_float32
from methods.ranges import Multiple, Part, PositiveFraction
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

HEAD_WIDTH = 32


@dataclass(frozen=True)
class MAESettings:
    """What is particular to MAE.

    Attributes:
        masked: Fraction of the patches that are masked.
        width: Width of the decoder, in multiples of the backbone's features.
        depth: Depth of the decoder, as a fraction of the backbone's depth.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    masked: Part = 0.75
    width: Multiple = 1
    depth: PositiveFraction = 2 / 3
    min_scale: PositiveFraction = 0.2


class MAE(Method):
    """The backbone on the visible patches and a decoder on all; the mean of the patch tokens is evaluated."""

    title: ClassVar[str] = "MAE"
    paper: ClassVar[str] = "https://arxiv.org/abs/2111.06377"
    family: ClassVar[Family] = "reconstruction"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, betas=(0.9, 0.95), warmup=0.05
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "masked": Between(0.5, 0.9),
        "min_scale": Between(0.1, 0.8),
    }
    Settings: ClassVar[type[Any]] = MAESettings

    def __init__(self, backbone: Backbone | None, settings: MAESettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        vit = vit_of(self.backbone, traits)
        width = settings.width * self.backbone.dim
        self.patch = vit.patch_embed.patch_size[0]
        self.embed = nn.Linear(self.backbone.dim, width)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            num_patches=patches_per_side(traits) ** 2,
            embed_dim=width,
            depth=max(1, round(settings.depth * len(vit.blocks))),
            num_heads=max(1, width // HEAD_WIDTH),
            num_prefix_tokens=vit.num_prefix_tokens,
        )
        self.pixels = nn.Linear(width, traits.channels * self.patch**2)

    @classmethod
    def views(cls, settings: MAESettings, traits: Traits) -> Callable[[Any], Any]:
        """Return one crop."""
        return cropped_view(traits, settings.min_scale)

    @classmethod
    def collate(cls, settings: MAESettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return a function that draws the patches to keep and those to mask."""
        return lambda batch, generator: random_patches(batch, patches_per_side(traits) ** 2, settings.masked, generator)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean squared error on the masked patches."""
        images = batch.views[0]
        kept, hidden = batch.masks
        target = get_at_index(patch_pixels(images, self.patch, normalised=True), hidden)
        return Loss(in_float32(mse_loss, self.predict(images, kept, hidden), target), {})

    def predict(
        self,
        images: Float[Tensor, "batch channels size size"],
        kept: Int[Tensor, "batch kept"],
        hidden: Int[Tensor, "batch hidden"],
    ) -> Float[Tensor, "batch hidden pixels"]:
        """Return the predicted pixels of the patches ``hidden``, from the patches ``kept``."""
        vit = vit_of(self.backbone, self.traits)
        tokens = self.embed(encode_kept(vit, images, kept))
        prefix = vit.num_prefix_tokens
        patches = repeat_token(self.decoder.mask_token, (len(images), patches_per_side(self.traits) ** 2))
        patches = set_at_index(patches, kept, tokens[:, prefix:].type_as(patches))
        decoded = self.decoder(torch.cat([tokens[:, :prefix].type_as(patches), patches], dim=1))
        predictions: Tensor = self.pixels(get_at_index(decoded[:, prefix:], hidden))
        return predictions
