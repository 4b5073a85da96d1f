"""Memory bank with one entry per image: a moving average of the image's embeddings."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize


class Memory(nn.Module):
    """Memory bank with one unit vector per image, random until the image is first seen [VISSL, ``NCELossWithMemory``].

    Attributes:
        entries: The unit vectors, images × dim.
        seen: Which images have been seen.
        momentum: Weight of the old entry in an update.
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
        """Return the entries of images; for an image that is seen for the first time, its embedding."""
        return torch.where(self.seen[indices, None], self.entries[indices], embeddings.detach())

    def sample(
        self, indices: Int[Tensor, " batch"], count: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "count dim"], Bool[Tensor, "batch count"]]:
        """Return ``count`` random entries for the batch, and whether each belongs to another image than the row's."""
        drawn = torch.randint(len(self.entries), (count,), generator=generator, device=indices.device)
        return self.entries[drawn], drawn != indices[:, None]

    @torch.no_grad()
    def update(self, indices: Int[Tensor, " batch"], embeddings: Float[Tensor, "batch dim"]) -> None:
        """Move the entries of images towards their embeddings; the first embedding becomes the entry."""
        moved = torch.lerp(embeddings, self.recall(indices, embeddings), self.momentum)
        self.entries[indices] = normalize(moved, dim=1)
        self.seen[indices] = True
