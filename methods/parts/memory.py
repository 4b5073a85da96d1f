"""A memory with one entry an image: a moving average of what the image's embedding was when it was last seen."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize


class Memory(nn.Module):
    """One direction an image, random until the image is first seen [VISSL, ``NCELossWithMemory``].

    Attributes:
        entries: The directions.
        seen: Which images have been seen.
        momentum: What an entry keeps of itself.
    """

    entries: Tensor
    seen: Tensor

    def __init__(self, images: int, dim: int, momentum: float) -> None:
        super().__init__()
        self.register_buffer("entries", normalize(torch.randn(images, dim), dim=1))
        self.register_buffer("seen", torch.zeros(images, dtype=torch.bool))
        self.momentum = momentum

    def recall(
        self, indices: Int[Tensor, " batch"], embeddings: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the entries of images; where one is seen for the first time, the embedding given for it."""
        return torch.where(self.seen[indices, None], self.entries[indices], embeddings.detach())

    def others(
        self, indices: Int[Tensor, " batch"], count: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "count dim"], Bool[Tensor, "batch count"]]:
        """Return ``count`` random entries for the whole batch, and which of them are another image's."""
        drawn = torch.randint(len(self.entries), (count,), generator=generator, device=indices.device)
        return self.entries[drawn], drawn != indices[:, None]

    @torch.no_grad()
    def update(self, indices: Int[Tensor, " batch"], embeddings: Float[Tensor, "batch dim"]) -> None:
        """Move the entries of images towards their embeddings; the first embedding becomes the entry."""
        moved = torch.lerp(embeddings, self.recall(indices, embeddings), self.momentum)
        self.entries[indices] = normalize(moved, dim=1)
        self.seen[indices] = True
