"""lightly's contrastive losses without boolean masks, whose result the host would have to wait for in every step.

They take the same numbers out of the similarities in the same order, so that values and gradients are lightly's.
"""

import lightly.loss
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import log_softmax, normalize


def off_diagonal(matrix: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch n rest"]:
    """Return the rows of square matrices without the element on the diagonal, n - 1 numbers each."""
    size = matrix.shape[-1]
    # In a row of n + 1 numbers that starts after one diagonal element, the next one is the last.
    rows = matrix.flatten(-2)[..., 1:].view(*matrix.shape[:-2], size - 1, size + 1)[..., :-1]
    return rows.reshape(*matrix.shape[:-1], size - 1)


class NTXentLoss(lightly.loss.NTXentLoss):  # type: ignore[misc]
    """lightly's NT-Xent loss between the two views of a batch; it has no memory bank."""

    def __init__(self, temperature: float) -> None:
        super().__init__(temperature)

    def forward(self, out0: Float[Tensor, "batch dim"], out1: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of finding the other view among all other views of the batch."""
        first, second = normalize(out0, dim=1), normalize(out1, dim=1)
        # In lightly's order, in which the gradients are summed.
        logits_00, logits_01, logits_10, logits_11 = (
            torch.einsum("nc,mc->nm", a, b) / self.temperature for a in (first, second) for b in (first, second)
        )
        rows = (
            torch.cat([logits_01, off_diagonal(logits_00)], dim=1),
            torch.cat([logits_10, off_diagonal(logits_11)], dim=1),
        )
        labels = torch.arange(len(first), device=first.device).repeat(2)
        loss: Tensor = self.cross_entropy(torch.cat(rows), labels)
        return loss


class DirectCLRLoss(lightly.loss.DirectCLRLoss, NTXentLoss):  # type: ignore[misc]
    """lightly's DirectCLR loss: NT-Xent on the first ``loss_dim`` features."""

    def __init__(self, loss_dim: int, temperature: float) -> None:
        NTXentLoss.__init__(self, temperature)
        self.loss_dim = loss_dim


class DCLLoss(lightly.loss.DCLLoss):  # type: ignore[misc]
    """lightly's decoupled contrastive loss."""

    def _loss(self, out0: Tensor, out1: Tensor, out0_all: Tensor, out1_all: Tensor) -> Tensor:
        same_view = torch.einsum("nc,mc->nm", out0, out0_all) / self.temperature
        other_view = torch.einsum("nc,mc->nm", out0, out1_all) / self.temperature
        positive = -other_view.diagonal()
        if self.weight_fn:
            positive = positive * self.weight_fn(out0, out1)
        negatives = torch.cat([off_diagonal(same_view), off_diagonal(other_view)], dim=1)
        loss: Tensor = (positive + torch.logsumexp(negatives, dim=1)).mean()
        return loss


class MACLLoss(lightly.loss.MACLLoss):  # type: ignore[misc]
    """lightly's model-aware contrastive loss."""

    def forward(self, z0: Float[Tensor, "batch dim"], z1: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
        """Return the loss; its temperature depends on the mean similarity of the positives."""
        batch = len(z0)
        embeddings = torch.cat([normalize(z0, dim=-1), normalize(z1, dim=-1)])
        similarities = embeddings @ embeddings.T
        positives = torch.cat([similarities.diagonal(batch), similarities.diagonal(-batch)])[:, None]
        # Four blocks of batch × batch; in each, the diagonal is an embedding with itself or with its positive.
        blocks = similarities.view(2, batch, 2, batch).transpose(1, 2)
        negatives = off_diagonal(blocks).transpose(1, 2).reshape(2 * batch, -1)
        temperature = self.temperature * (1 + self.alpha * (positives.detach().mean() - self.A_0))
        logarithms = log_softmax(torch.cat([positives, negatives], dim=1) / temperature, dim=1)[:, 0]
        weights = 1.0 / (1.0 - logarithms.exp() + self.eps)
        loss: Tensor = (-weights.detach() * logarithms).mean()
        return loss
