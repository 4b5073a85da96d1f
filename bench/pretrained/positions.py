"""Position embeddings of another image size: resampled as timm's own loader does."""

import math
from collections.abc import Mapping

from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor

from bench.backbones.vit import ViT
from bench.pretrained.weight_matching import Match

_NAME = "vit.pos_embed"


def with_resampled_positions(
    backbone: ViT, tensors: Mapping[str, Tensor], match: Match
) -> tuple[dict[str, Tensor], str]:
    """Return the tensors with position embeddings for the backbone's image size, and which these are; empty if none had to be resampled."""
    changed = dict(tensors)
    key = match.misshapen.get(_NAME)
    ours = backbone.vit.pos_embed
    if key is None or ours is None:
        return changed, ""
    found = tensors[key]
    prefix_tokens = backbone.vit.num_prefix_tokens
    side = math.isqrt(max(0, found.shape[1] - prefix_tokens)) if found.ndim == 3 else 0
    if side < 1 or side**2 + prefix_tokens != found.shape[1] or found.shape[::2] != ours.shape[::2]:
        return changed, ""
    grid = backbone.vit.patch_embed.grid_size
    changed[key] = resample_abs_pos_embed(
        found.float(), new_size=list(grid), old_size=[side, side], num_prefix_tokens=prefix_tokens
    )
    return changed, f"positions of {side}×{side} patches where this image size has {grid[0]}×{grid[1]}"
