"""AIM: each patch is guessed from those before it, row by row, after a first part that is seen as a whole.

Recipe: the paper's (https://arxiv.org/abs/2401.08541, section 3 and table 8): AdamW, betas 0.9 and 0.95, decay 0.05, gradients clipped at
1, crops from 0.4, the length of the prefix drawn evenly, mean squared error on pixels normalised patch by patch, of the patches
behind the prefix alone. The head is a stack of MLP blocks as wide as the backbone (2048 at AIM-1B) and half as deep (12 to 24).
Deviations: the backbone's class token stays, as a first token of the prefix, which sees only the prefix; biases in the backbone; a warm-up of a
tenth of the training instead of a quarter; the rate.
Why not the paper's rate, 1e-3 at 4096 images: on the development task of digits (60 epochs, vit_nano, seed 0: nearest neighbours, then one label
a class, frozen) 60.0 and 22.8 with 6.25e-5 at 256, as the untrained network's 59.3 and 22.1, against 80.7 and 33.2 with 2e-3.
lightly's benchmark lets token i guess patch i, which it sees: here it guesses the next one, as in the paper. Attention is made causal by a
mask that is handed to timm's blocks, so that the backbone stays the one that every method gets.
Evaluated with attention in both directions, as in the paper, and the mean of the patch tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from lightly.models.modules.heads_timm import AIMPredictionHead
from lightly.models.utils import random_prefix_mask
from torch import Tensor

from methods.base import Backbone, Batch, Family, Loss, Method, Needs, Recipe
from methods.parts.cropped import cropped_view
from methods.parts.masked import drawing_from, vit_of
from methods.parts.patches import patch_pixels, patches_a_side
from methods.parts.precision import in_float32
from methods.traits import Traits


@dataclass(frozen=True)
class AIMSettings:
    """What is particular to AIM.

    Attributes:
        width: Of the head, in multiples of the backbone's features.
        depth: Of the head, as a fraction of the backbone's depth.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    width: int = 1
    depth: float = 0.5
    min_scale: float = 0.4


class AIM(Method):
    """The backbone with prefix-causal attention and a head that predicts the next patch."""

    title: ClassVar[str] = "AIM"
    paper: ClassVar[str] = "https://arxiv.org/abs/2401.08541"
    family: ClassVar[Family] = "reconstruction"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, betas=(0.9, 0.95), clip=1.0, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = AIMSettings

    def __init__(self, backbone: Backbone | None, settings: AIMSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        vit = vit_of(self.backbone, traits)
        self.patch = vit.patch_embed.patch_size[0]
        self.head = AIMPredictionHead(
            self.backbone.dim,
            traits.channels * self.patch**2,
            hidden_dim=settings.width * self.backbone.dim,
            num_blocks=max(1, round(settings.depth * len(vit.blocks))),
        )

    @classmethod
    def views(cls, settings: AIMSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return one crop."""
        return cropped_view(traits, settings.min_scale)

    @classmethod
    def collate(cls, settings: AIMSettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return what draws the patches behind the prefix; the first patch is always in it, the last never."""
        others = patches_a_side(traits) ** 2 - 1

        def draw(batch: int, generator: torch.Generator) -> Bool[Tensor, "batch patches"]:
            with drawing_from(generator):
                behind: Tensor = random_prefix_mask((batch, others), others)
            return torch.cat([behind.new_zeros(batch, 1), behind], dim=1)

        return draw

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean squared error of the patches behind the prefix."""
        images = batch.views[0]
        behind = batch.masks.to(images.device)
        target = patch_pixels(images, self.patch, normalised=True)[:, 1:]
        return Loss(in_float32(self._error, self.predict(images, behind), target, behind[:, 1:]), {})

    def predict(
        self, images: Float[Tensor, "batch channels size size"], behind: Bool[Tensor, "batch patches"]
    ) -> Float[Tensor, "batch others pixels"]:
        """Return for each patch but the first its pixels as they are guessed from the prefix and the patches before it."""
        vit = vit_of(self.backbone, self.traits)
        prefix = torch.cat([behind.new_ones(len(images), vit.num_prefix_tokens), ~behind], dim=1)
        tokens = vit.forward_features(images, attn_mask=prefix_causal(prefix))
        predictions: Tensor = self.head(tokens[:, vit.num_prefix_tokens : -1])
        return predictions

    def _error(self, predictions: Tensor, target: Tensor, behind: Tensor) -> Tensor:
        errors = (predictions - target).square().mean(dim=-1)
        return (errors * behind).sum() / behind.sum()


def prefix_causal(prefix: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch 1 tokens tokens"]:
    """Return which token (row) sees which: itself, those before it, and all of the prefix [AIM, figure 3]."""
    count = prefix.shape[1]
    before = torch.ones(count, count, dtype=torch.bool, device=prefix.device).tril()
    return (before | prefix[:, None, :])[:, None]
