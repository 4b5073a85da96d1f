"""AIM: each patch is predicted from the patches before it, in raster order, after a prefix with full attention.

Recipe: the paper's (https://arxiv.org/abs/2401.08541, section 3 and table 8). AdamW with betas 0.9 and 0.95, weight
decay 0.05 and gradients clipped at norm 1; crops of at least 0.4 of the area; a prefix of uniformly drawn length. The
loss is the mean squared error on pixels normalised per patch, over the patches after the prefix. The head is a stack of
MLP blocks as wide as the backbone (2048 in AIM-1B) and half as deep (12 blocks for 24).

Deviations: the backbone keeps its class token, as the first token of the prefix, and it attends only to the prefix. The
backbone has biases. The warm-up is a tenth of the training instead of a quarter. The learning rate is higher.

Why not the paper's learning rate, 1e-3 at batch size 4096: on the development task of digits (60 epochs, vit_nano, seed
0), accuracy in % with kNN / with one label per class and a frozen encoder is 60.0 / 22.8 with 6.25e-5 at batch size
256, about the untrained network's 59.3 / 22.1, and 80.7 / 33.2 with 2e-3.

In lightly's benchmark token i predicts patch i, which it has seen; here it predicts the next patch, as in the paper.
Attention is made causal by a mask passed to timm's blocks, so that the backbone is the same as for every other method.
The encoder is evaluated with bidirectional attention, as in the paper, and the mean of the patch tokens.
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
from methods.parts.patches import patch_pixels, patches_per_side
from methods.parts.precision import in_float32
from methods.parts.rows import by_rows
from methods.ranges import Multiple, PositiveFraction
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class AIMSettings:
    """What is particular to AIM.

    Attributes:
        width: Width of the head, in multiples of the backbone's features.
        depth: Number of blocks in the head, as a fraction of the backbone's.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    width: Multiple = 1
    depth: PositiveFraction = 0.5
    min_scale: PositiveFraction = 0.4


class AIM(Method):
    """The backbone with prefix-causal attention and a head that predicts the next patch."""

    title: ClassVar[str] = "AIM"
    paper: ClassVar[str] = "https://arxiv.org/abs/2401.08541"
    family: ClassVar[Family] = "reconstruction"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, betas=(0.9, 0.95), clip=1.0, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "depth": Between(0.25, 1.0),
        "min_scale": Between(0.2, 0.8),
    }
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
        """Return one random crop."""
        return cropped_view(traits, settings.min_scale)

    @classmethod
    def collate(cls, settings: AIMSettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return a function that draws which patches follow the prefix; the first never does, the last always does."""
        rest = patches_per_side(traits) ** 2 - 1

        def draw(batch: int, generator: torch.Generator) -> Bool[Tensor, "batch patches"]:
            with drawing_from(generator):
                after_prefix: Tensor = random_prefix_mask((batch, rest), rest)
            return torch.cat([after_prefix.new_zeros(batch, 1), after_prefix], dim=1)

        return draw

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean squared error of the patches after the prefix."""
        images = batch.views[0]
        after_prefix = batch.masks
        target = patch_pixels(images, self.patch, normalised=True)[:, 1:]
        return Loss(in_float32(self._error, self.predict(images, after_prefix), target, after_prefix[:, 1:]), {})

    def predict(
        self, images: Float[Tensor, "batch channels size size"], after_prefix: Bool[Tensor, "batch patches"]
    ) -> Float[Tensor, "batch rest pixels"]:
        """Return predicted pixels for each patch but the first, from the prefix and the patches before it."""
        vit = vit_of(self.backbone, self.traits)
        prefix = torch.cat([after_prefix.new_ones(len(images), vit.num_prefix_tokens), ~after_prefix], dim=1)

        def encode(images: Tensor, prefix: Tensor) -> Tensor:
            tokens: Tensor = vit.forward_features(images, attn_mask=prefix_causal(prefix))
            return tokens

        tokens = by_rows(encode, images, prefix)
        predictions: Tensor = self.head(tokens[:, vit.num_prefix_tokens : -1])
        return predictions

    def _error(self, predictions: Tensor, target: Tensor, after_prefix: Tensor) -> Tensor:
        errors = (predictions - target).square().mean(dim=-1)
        return (errors * after_prefix).sum() / after_prefix.sum()


def prefix_causal(prefix: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch 1 tokens tokens"]:
    """Return the attention mask: a token (row) attends to itself, earlier tokens and the prefix [AIM, figure 3]."""
    count = prefix.shape[1]
    before = torch.ones(count, count, dtype=torch.bool, device=prefix.device).tril()
    return (before | prefix[:, None, :])[:, None]
