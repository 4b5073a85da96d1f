"""LossHistory in float32, whatever precision the network ran in."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def in_float32(loss: Callable[..., Tensor], *embeddings: Tensor) -> Float[Tensor, ""]:
    """Return ``loss(*embeddings)`` computed in float32, outside of any autocast.

    bf16 keeps eight bits: a variance or a softmax over a batch loses all its digits there.
    """
    with torch.autocast(embeddings[0].device.type, enabled=False):
        return loss(*(embedding.float() for embedding in embeddings))
