"""Losses in float32, whatever the precision of the network."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def in_float32(loss: Callable[..., Tensor], *embeddings: Tensor) -> Float[Tensor, ""]:
    """Return ``loss(*embeddings)``, computed in float32 with autocast disabled.

    bf16 has eight significant bits, too few for a variance or a softmax over a batch.
    """
    with torch.autocast(embeddings[0].device.type, enabled=False):
        return loss(*(embedding.float() for embedding in embeddings))
