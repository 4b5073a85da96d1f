"""SimMIM: mask tokens replace the masked patches, and one linear layer predicts their pixels.

Recipe: the authors' (https://github.com/microsoft/SimMIM). AdamW with weight decay 0.05; 60 % of the patches masked, in
squares of 2×2 patches if the grid is as fine as theirs (images of 224 pixels in patches of 16); L1 loss on masked
pixels only; crops of at least 0.67 of the area; gradients clipped at norm 5.

Deviations: positions are fixed (theirs: learned and relative). The learning rate follows a cosine (theirs: divided by
ten near the end). On grids of fewer than twelve patches per side, single patches are masked, because 2×2 would be a
quarter of an image of digits. The warm-up is a tenth of the training, because the training is short. The learning rate
is 2e-3, for the reason below.

Why not the 8e-4 of lightly's Imagenette benchmark (https://github.com/lightly-ai/lightly, imagenette_benchmark.py): on
the development task of digits (60 epochs, vit_nano, seed 0), accuracy in % with kNN / with one label per class and a
frozen encoder is 62.1 / 23.5 with 8e-4, hardly more than the untrained network's 59.3 / 22.1, and 73.1 / 27.8 with 2e-3
(this recipe).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool
from lightly.models.utils import get_at_index, random_grid_token_mask
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from methods.base import Backbone, Batch, Family, Loss, Method, Needs, Recipe
from methods.parts.cropped import cropped_view
from methods.parts.masked import drawing_from, encode_masked, vit_of
from methods.parts.patches import patch_pixels, patches_per_side
from methods.parts.precision import in_float32
from methods.ranges import Part, PositiveFraction
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

FINE_GRID = 12
"""Smallest number of patches per side for masks of 2×2 patches."""


@dataclass(frozen=True)
class SimMIMSettings:
    """What is particular to SimMIM.

    Attributes:
        masked: Fraction of the patches that are masked.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    masked: Part = 0.6
    min_scale: PositiveFraction = 0.67


class SimMIM(Method):
    """The backbone on visible patches and mask tokens, and a linear layer; the patch tokens' mean is evaluated."""

    title: ClassVar[str] = "SimMIM"
    paper: ClassVar[str] = "https://arxiv.org/abs/2111.09886"
    family: ClassVar[Family] = "reconstruction"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, clip=5.0, warmup=0.1)
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "masked": Between(0.3, 0.9),
        "min_scale": Between(0.2, 0.9),
    }
    Settings: ClassVar[type[Any]] = SimMIMSettings

    def __init__(self, backbone: Backbone | None, settings: SimMIMSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.patch = vit_of(self.backbone, traits).patch_embed.patch_size[0]
        self.mask_token = nn.Parameter(nn.init.trunc_normal_(torch.zeros(1, 1, self.backbone.dim), std=0.02))
        self.pixels = nn.Linear(self.backbone.dim, traits.channels * self.patch**2)

    @classmethod
    def views(cls, settings: SimMIMSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return one crop."""
        return cropped_view(traits, settings.min_scale)

    @classmethod
    def collate(cls, settings: SimMIMSettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return a function that draws the patches to mask, the same number in each image."""
        side = patches_per_side(traits)
        square = 2 if side >= FINE_GRID and side % 2 == 0 else 1

        def draw(batch: int, generator: torch.Generator) -> Tensor:
            with drawing_from(generator):
                hidden: Tensor = random_grid_token_mask(
                    (batch, side**2), settings.masked, grid_size=square, num_prefix_tokens=0
                )[1]
            return hidden

        return draw

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean absolute error on the masked pixels."""
        images = batch.views[0]
        vit = vit_of(self.backbone, self.traits)
        hidden = batch.masks
        tokens = encode_masked(vit, images, self._mask(hidden), self.mask_token)[:, vit.num_prefix_tokens :]
        target = get_at_index(patch_pixels(images, self.patch, normalised=False), hidden)
        return Loss(in_float32(l1_loss, self.pixels(get_at_index(tokens, hidden)), target), {})

    def _mask(self, hidden: Tensor) -> Bool[Tensor, "batch patches"]:
        mask = hidden.new_zeros(len(hidden), patches_per_side(self.traits) ** 2, dtype=torch.bool)
        return mask.scatter(1, hidden, True)
