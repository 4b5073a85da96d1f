"""A queue of keys of earlier batches, as negatives or as neighbours."""

import torch
from jaxtyping import Float
from lightly.loss import NTXentLoss
from torch import Tensor, nn
from torch.nn.functional import normalize

from methods.traits import Traits


class Queue(nn.Module):
    """The last ``length`` keys, of length one; the oldest are replaced first. It starts with random directions.

    It takes the place of lightly's ``MemoryBankModule``, whose entries are not in ``state_dict`` (a resumed run goes on with random
    ones), are copied each step, and of which a batch that does not fit loses its rest. Keys wait until ``turn``, after the
    backward pass, which still needs the entries as they were: so nothing has to be copied.

    Attributes:
        keys: The entries.
        position: The next entry to be replaced.
    """

    keys: Tensor
    position: Tensor

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", normalize(torch.randn(length, dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self._waiting: Tensor | None = None

    def forward(
        self, output: Tensor, labels: None = None, update: bool = False
    ) -> tuple[Tensor, Float[Tensor, "dim length"]]:
        """Return ``output`` and the entries, as lightly's losses ask for them; their wish to update is not followed."""
        return output, self.keys.T

    def nearest(self, queries: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return the entry with the largest cosine to each query."""
        nearest: Tensor = self.keys[(normalize(queries, dim=1) @ self.keys.T).argmax(dim=1)]
        return nearest

    def put(self, keys: Float[Tensor, "batch dim"]) -> None:
        """Let keys wait for the next ``turn``."""
        self._waiting = normalize(keys.detach().float(), dim=1)

    @torch.no_grad()
    def turn(self) -> None:
        """Replace the oldest entries by the keys that wait."""
        if self._waiting is None:
            return
        length = len(self.keys)
        keys = self._waiting[-length:]
        # The position stays on the device: to read it here would wait for all that is queued there.
        rows = (self.position + torch.arange(len(keys), device=keys.device)) % length
        self.keys[rows] = keys
        self.position.add_(len(keys)).remainder_(length)
        self._waiting = None


def queue_length(published: int, traits: Traits) -> int:
    """Return the published length, or a quarter of the training images where that is less: older keys of an image are no negatives."""
    return max(1, min(published, traits.train // 4))


class QueueLoss(NTXentLoss):  # type: ignore[misc]
    """lightly's InfoNCE of queries and their keys, with the entries of a queue as negatives."""

    memory_bank: Queue

    def __init__(self, temperature: float, length: int, dim: int) -> None:
        super().__init__(temperature)
        self.memory_bank = Queue(length, dim)
