"""lightly's losses on covariances without the operations whose result the host would have to wait for in every step.

They compute the same in the same order, so that values and gradients are lightly's.
"""

from collections.abc import Sequence

import lightly.loss
import torch
from jaxtyping import Float
from lightly.loss import wmse_loss
from lightly.loss.vicreg_loss import invariance_loss, variance_loss
from torch import Tensor
from torch.nn.functional import conv2d, mse_loss, normalize

from methods.parts.contrastive import off_diagonal


def covariance_loss(x: Float[Tensor, "batch ... dim"]) -> Float[Tensor, ""]:
    """Return lightly's sum of the squared covariances of different dimensions, divided by their number."""
    centred = x - x.mean(dim=0)
    covariance = torch.einsum("b...c,b...d->...cd", centred, centred) / (len(x) - 1)
    return (off_diagonal(covariance).flatten(-2).pow(2).sum(-1) / x.shape[-1]).mean()


class VICRegLoss(lightly.loss.VICRegLoss):  # type: ignore[misc]
    """lightly's VICReg loss."""

    def forward(self, z_a: Float[Tensor, "batch ... dim"], z_b: Float[Tensor, "batch ... dim"]) -> Float[Tensor, ""]:
        """Return the weighted sum of invariance, variance and covariance."""
        invariance = invariance_loss(x=z_a, y=z_b)
        variance = 0.5 * (variance_loss(x=z_a, eps=self.eps) + variance_loss(x=z_b, eps=self.eps))
        covariance = covariance_loss(z_a) + covariance_loss(z_b)
        loss: Tensor = self.lambda_param * invariance + self.mu_param * variance + self.nu_param * covariance
        return loss


class VICRegLLoss(lightly.loss.VICRegLLoss):  # type: ignore[misc]
    """lightly's VICRegL loss with the default weights of its terms."""

    def __init__(self, alpha: float, num_matches: tuple[int, int]) -> None:
        super().__init__(alpha=alpha, num_matches=num_matches)
        self.vicreg_loss = VICRegLoss(self.lambda_param, self.mu_param, 0.5 * self.nu_param, eps=self.eps)

    def _global_variance_and_covariance_loss(
        self,
        global_view_features: Sequence[tuple[Tensor, Tensor]],
        local_view_features: Sequence[tuple[Tensor, Tensor]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        features = [whole for whole, _ in (*global_view_features, *(local_view_features or ()))]
        variance = torch.stack([variance_loss(x=whole, eps=self.eps) for whole in features]).sum()
        covariance = torch.stack([covariance_loss(whole) for whole in features]).sum()
        return variance / len(features), covariance / len(features)


class FroSSLLoss(lightly.loss.FroSSLLoss):  # type: ignore[misc]
    """lightly's FroSSL loss."""

    def forward(self, z_views: Sequence[Float[Tensor, "batch dim"]]) -> Float[Tensor, ""]:
        """Return the logarithm of the squared norms of the views' covariances, plus the distances to the mean view."""
        dim = z_views[0].shape[1]
        views = [normalize(view, dim=0) for view in z_views]
        mean = torch.stack(views).mean(dim=0)
        regularisation = invariance = z_views[0].new_zeros(())
        for view in views:
            covariance = view.T @ view if len(view) > dim else view @ view.T
            # lightly reads the trace on the host.
            norm = torch.linalg.norm(covariance / torch.trace(covariance).detach(), ord="fro")
            regularisation = regularisation + 2 * torch.log(norm)
            invariance = invariance + len(views) * dim * mse_loss(view, mean)
        loss: Tensor = regularisation + self.invariance_weight * invariance
        return loss


class Whitening2d(wmse_loss.Whitening2d):  # type: ignore[misc]
    """lightly's whitening by the statistics of the batch, on any device."""

    def __init__(self, num_features: int, eps: float) -> None:
        super().__init__(num_features, track_running_stats=False, eps=eps)

    def forward(self, x: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return embeddings whose covariance is the identity; NaN if the covariance has no Cholesky factor."""
        # Four dimensions, as in lightly: the convolution rounds differently from a product of matrices.
        centred = x[:, :, None, None] - x.mean(0)[None, :, None, None]
        columns = centred.permute(1, 0, 2, 3).contiguous().view(self.num_features, -1)
        covariance = columns @ columns.T / (len(x) - 1)
        identity = torch.eye(self.num_features, dtype=covariance.dtype, device=covariance.device)
        factor, failed = torch.linalg.cholesky_ex((1 - self.eps) * covariance + self.eps * identity)
        factor = torch.where(failed == 0, factor, torch.nan)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        whitened: Tensor = conv2d(centred, inverse.contiguous()[:, :, None, None])
        return whitened[:, :, 0, 0]
