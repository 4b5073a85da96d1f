"""Queue of keys from earlier batches, used as negatives or as nearest neighbours."""

import torch
from jaxtyping import Float
from lightly.loss import NTXentLoss
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods.traits import Traits


class Queue(nn.Module):
    """The last ``length`` keys as unit vectors, random at first; the oldest are replaced first.

    It replaces lightly's ``MemoryBankModule``, which does not keep its entries in ``state_dict`` (a resumed run would
    continue with random ones), copies them at each step, and drops the part of a batch that does not fit. Keys passed
    to ``put`` enter the queue in ``update``, after the backward pass, which still needs the old entries; so nothing has
    to be copied.

    Attributes:
        keys: The entries.
        position: Index of the entry that is replaced next.
    """

    keys: Tensor
    position: Tensor

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", normalize(torch.randn(length, dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self._pending: Tensor | None = None

    def forward(
        self, output: Tensor, labels: None = None, update: bool = False
    ) -> tuple[Tensor, Float[Tensor, "dim length"]]:
        """Return ``output`` and the entries, as lightly's losses expect; ``labels`` and ``update`` are ignored."""
        return output, self.keys.T

    def nearest(self, queries: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return the entry with the largest cosine similarity to each query."""
        nearest: Tensor = self.keys[(normalize(queries, dim=1) @ self.keys.T).argmax(dim=1)]
        return nearest

    def put(self, keys: Float[Tensor, "batch dim"]) -> None:
        """Keep keys for the next ``update``."""
        self._pending = normalize(keys.detach().float(), dim=1)

    @torch.no_grad()
    def update(self) -> None:
        """Replace the oldest entries by the keys passed to ``put``."""
        if self._pending is None:
            return
        length = len(self.keys)
        keys = self._pending[-length:]
        # The position stays on the device: reading it on the host would wait for all pending work.
        rows = (self.position + torch.arange(len(keys), device=keys.device)) % length
        self.keys[rows] = keys
        self.position.add_(len(keys)).remainder_(length)
        self._pending = None


def queue_length(published: int, traits: Traits) -> int:
    """Return the published length, but at most a quarter of the pretraining images: older keys of an image are not negatives."""
    return max(1, min(published, traits.images // 4))


class QueueLoss(NTXentLoss):  # type: ignore[misc]
    """lightly's InfoNCE loss between queries and their keys, with the entries of a queue as negatives."""

    memory_bank: Queue

    def __init__(self, temperature: float, length: int, dim: int) -> None:
        super().__init__(temperature)
        self.memory_bank = Queue(length, dim)
