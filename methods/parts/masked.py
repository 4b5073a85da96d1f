"""Vision transformers on some of their patches or with mask tokens, and masks that depend on one generator only.

Patch indices start at 0, row by row, and do not count the class token, which is always kept. lightly's mask functions
count it if they receive a sequence length that includes it; here they receive only the number of patches.
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
from methods.parts.rows import by_rows
from methods.traits import Traits


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Make lightly's mask functions depend only on ``generator`` within this context.

    They draw from the global CPU generators of torch and Python (``random_block_mask``), which are restored afterwards.
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
    """Return the patches to keep and those to mask, a fraction of ``masked``, drawn independently for each image."""
    with drawing_from(generator):
        kept, hidden = random_token_mask((batch, patches), masked, mask_class_token=True)
    return kept, hidden


def vit_of(backbone: Backbone, traits: Traits) -> VisionTransformer:
    """Return the timm vision transformer inside a backbone.

    Raises:
        ValueError: The backbone is not a vision transformer, or its patch size differs from that of the masks.
    """
    vit = getattr(backbone, "vit", None)
    if not isinstance(vit, VisionTransformer):
        raise ValueError(
            f"Masked methods need a vision transformer from timm, not {type(backbone).__name__}: use backbone vit_nano."
        )
    if vit.patch_embed.patch_size != (patch_size(traits.size),) * 2:
        raise ValueError(
            f"Masks need patches of {patch_size(traits.size)} pixels for images of {traits.size} pixels, but "
            f"{type(backbone).__name__} has patches of {vit.patch_embed.patch_size}: use backbone vit_nano."
        )
    return vit


def attention_heads(vit: VisionTransformer) -> int:
    """Return the number of attention heads per block."""
    return int(vit.blocks[0].attn.num_heads)  # type: ignore[union-attr, arg-type]


def encode_kept(
    vit: VisionTransformer, images: Float[Tensor, "batch channels size size"], kept: Int[Tensor, "batch kept"]
) -> Float[Tensor, "batch tokens dim"]:
    """Return the output tokens of the class token and the patches ``kept``; the network sees no other patch."""
    prefix = vit.num_prefix_tokens
    first = torch.arange(prefix, device=images.device).expand(len(images), -1)

    def encode(images: Tensor, kept: Tensor) -> Tensor:
        tokens: Tensor = _wrapped(vit, None).encode(images, idx_keep=kept)
        return tokens

    return by_rows(encode, images, torch.cat([first, kept + prefix], dim=1))


def encode_masked(
    vit: VisionTransformer,
    images: Float[Tensor, "batch channels size size"],
    masked: Bool[Tensor, "batch patches"],
    mask_token: nn.Parameter,
) -> Float[Tensor, "batch tokens dim"]:
    """Return all output tokens, class token first; ``mask_token`` (1×1×dim) replaces the patches ``masked``."""
    nothing = masked.new_zeros(len(images), vit.num_prefix_tokens)

    def encode(images: Tensor, masked: Tensor) -> Tensor:
        tokens: Tensor = _wrapped(vit, mask_token).encode(images, mask=masked)
        return tokens

    return by_rows(encode, images, torch.cat([nothing, masked], dim=1))


def _wrapped(vit: VisionTransformer, mask_token: nn.Parameter | None) -> MaskedVisionTransformerTIMM:
    # Built for each call: stored in a method, it would put the backbone's weights into state_dict twice.
    # Without "skip" it initialises the weights again and replaces the positions.
    return MaskedVisionTransformerTIMM(vit, mask_token, weight_initialization="skip", pos_embed_initialization="skip")
