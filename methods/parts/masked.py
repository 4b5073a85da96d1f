"""A vision transformer on a part of its patches, or with mask tokens in the place of some; masks that one generator decides.

Patches are counted from 0, row by row, without the class token, which is always there: lightly's masks count it where they are given a
sequence with it, so they are asked for ``patches`` tokens here.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from lightly.models.modules import MaskedVisionTransformerTIMM
from lightly.models.utils import random_token_mask
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from methods.base import Backbone
from methods.parts.patches import patch_size
from methods.traits import Traits


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let ``generator`` alone decide what lightly's mask functions draw within.

    They draw on the CPU from the global generators of torch and Python (``random_block_mask``), which are left as they were.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    python = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)


def random_patches(
    batch: int, patches: int, masked: float, generator: torch.Generator
) -> tuple[Int[Tensor, "batch kept"], Int[Tensor, "batch masked"]]:
    """Return the patches to keep and those to mask: a share of ``masked``, drawn for each image alone."""
    with drawing_from(generator):
        kept, hidden = random_token_mask((batch, patches), masked, mask_class_token=True)
    return kept, hidden


def vit_of(backbone: Backbone, traits: Traits) -> VisionTransformer:
    """Return timm's network of a backbone; raises ValueError where it has none, or cuts other patches than masks are drawn for."""
    vit = getattr(backbone, "vit", None)
    if not isinstance(vit, VisionTransformer):
        raise ValueError(
            f"A masked method needs a vision transformer of timm, not {type(backbone).__name__}: take vit_nano."
        )
    if vit.patch_embed.patch_size != (patch_size(traits.size),) * 2:
        raise ValueError(
            f"Masks are drawn for patches of {patch_size(traits.size)} pixels at images of {traits.size}: "
            f"{type(backbone).__name__} cuts {vit.patch_embed.patch_size}."
        )
    return vit


def heads_of(vit: VisionTransformer) -> int:
    """Return the number of attention heads of each block."""
    return int(vit.blocks[0].attn.num_heads)  # type: ignore[union-attr, arg-type]


def encode_kept(
    vit: VisionTransformer, images: Float[Tensor, "batch channels size size"], kept: Int[Tensor, "batch kept"]
) -> Float[Tensor, "batch tokens dim"]:
    """Return the tokens of the class token and of the patches ``kept``, in their order; no other patch reaches the network."""
    prefix = vit.num_prefix_tokens
    first = torch.arange(prefix, device=images.device).expand(len(images), -1)
    tokens: Tensor = _wrapped(vit, None).encode(images, idx_keep=torch.cat([first, kept + prefix], dim=1))
    return tokens


def encode_masked(
    vit: VisionTransformer,
    images: Float[Tensor, "batch channels size size"],
    masked: Bool[Tensor, "batch patches"],
    mask_token: nn.Parameter,
) -> Float[Tensor, "batch tokens dim"]:
    """Return all tokens, the class token first, where ``mask_token`` (1×1×dim) stood in for the patches ``masked``."""
    nothing = masked.new_zeros(len(images), vit.num_prefix_tokens)
    tokens: Tensor = _wrapped(vit, mask_token).encode(images, mask=torch.cat([nothing, masked], dim=1))
    return tokens


def _wrapped(vit: VisionTransformer, mask_token: nn.Parameter | None) -> MaskedVisionTransformerTIMM:
    # Made for each call: kept in a method, it would hold the backbone's weights under a second name. Unless told to skip, it
    # starts weights anew and replaces positions.
    return MaskedVisionTransformerTIMM(vit, mask_token, weight_initialization="skip", pos_embed_initialization="skip")
