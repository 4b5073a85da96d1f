"""Preconditioner of logistic regression: whitens the Hessian of the mean cross-entropy."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from protocols.parts.interruptible import interruptible
from protocols.parts.labelled import BLOCK
from protocols.parts.rows import Rows, blocks_of, whole
from protocols.parts.subsets import SEED

LARGEST_HESSIAN = 8000
"""Largest number of parameters for which the full Hessian is used: above, factoring it takes longer than the steps that it saves."""
WORK = 5e11
"""Multiplications allowed for the first estimate of the Hessian; they limit its number of images."""
FEWEST_IMAGES = 4096
"""Least number of images of the first estimate."""
SAMPLE_NUMBERS = 2**26
"""Numbers in a sample of features that are too many for memory."""
UNIFORM_SHARE = 0.1
"""Share of the sample that is drawn uniformly, so that no image gets too large a weight."""
FLOAT32_ROUNDING = 1e-7
"""First ridge for a float32 Cholesky factorisation, relative to the largest entry of the diagonal."""

Coordinates = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


class Curvature:
    """The float32 Hessian of a mean cross-entropy at a point, and its Cholesky factor for one penalty.

    A preconditioner changes the number of steps, not the solution, so float32 and a sample of the images are enough. All images are used if
    that is cheap; otherwise a sample that prefers images with uncertain predictions, weighted by 1 / probability: with a small penalty,
    images with certain predictions add almost nothing, and a uniform sample misses most of the curvature.

    Args:
        inputs: The features, with a column of ones. Of ``Rows``, a sample is used that fits into memory.
        classes: Number of classes.
        check_stop: May raise to give up a long estimate.
        wide: Whether to use one block for every class even if the full Hessian would be small enough.

    Attributes:
        images: Expected number of images in the estimate.
        hessian: The last estimate (its lower triangle), or None.
    """

    def __init__(
        self,
        inputs: Tensor | Rows,
        classes: int,
        check_stop: Callable[[], None] = lambda: None,
        *,
        wide: bool = False,
    ) -> None:
        self.inputs, self.classes, self.check_stop = inputs, classes, check_stop
        count, self.rows = inputs.shape
        self.full = self.rows * classes <= LARGEST_HESSIAN and not wide
        size = self.rows * classes if self.full else self.rows
        self.most = min(count, max(1, SAMPLE_NUMBERS // self.rows)) if isinstance(inputs, Rows) else count
        self.images = min(self.most, max(FEWEST_IMAGES, int(WORK / size**2)))
        self.uniforms = torch.rand(count, generator=torch.Generator().manual_seed(SEED)).to(inputs.device)
        self.hessian: Tensor | None = None

    def double_sample(self) -> None:
        """Double the number of images for the next estimates, because the last one was too coarse."""
        self.images = min(self.most, 2 * self.images)

    def estimate(self, point: Float[Tensor, "inputs classes"]) -> None:
        """Estimate the Hessian at a point, for all parameters or, if there are too many, as one block that serves every class.

        The block is that of one class when all classes are equally likely.
        """
        if self.hessian is not None and not self.full and self.images == len(self.inputs):
            # The block of all images does not depend on the point.
            return
        sample, weights = self._sample(point)
        shares = weights / len(self.inputs)
        if not self.full:
            self.hessian = interruptible(
                lambda: (sample * shares[:, None]).T @ sample / self.classes, self.check_stop, sample.numel()
            )
            return
        blocks = sample.new_zeros(self.classes, self.rows, self.classes, self.rows)
        point32 = point.float()
        for images, share in zip(torch.split(sample, BLOCK), torch.split(shares, BLOCK), strict=True):
            probabilities = torch.softmax(images @ point32, dim=1)
            weighted = probabilities.T[:, :, None] * images
            # The factorisation reads only the lower triangle.
            for c in range(self.classes):
                self.check_stop()
                own = weighted[c] * share[:, None]
                blocks[c, :, c, :].addmm_(own.T, images - weighted[c])
                for other in range(c):
                    blocks[c, :, other, :].addmm_(own.T, weighted[other], alpha=-1)
        # A shift common to all classes changes no probability: without this term the Hessian would be singular for the bias.
        blocks.diagonal(dim1=1, dim2=3).add_(1 / self.classes**2)
        self.hessian = blocks.view(self.rows * self.classes, self.rows * self.classes)

    def _sample(self, point: Float[Tensor, "inputs classes"]) -> tuple[Float[Tensor, "m inputs"], Float[Tensor, " m"]]:
        """Return the sampled images in float32 and the weight of each."""
        count = len(self.inputs)
        if self.images == count:
            inputs = whole(self.inputs).float()
            return inputs, inputs.new_ones(count)
        importance = torch.cat([_importance(block, point) for block in blocks_of(self.inputs)])
        probability = (1 - UNIFORM_SHARE) * importance / importance.sum() + UNIFORM_SHARE / count
        probability = (probability * self.images).clamp(max=1.0)
        chosen = self.uniforms < probability
        return self.inputs[chosen].float(), 1 / probability[chosen].float()

    def coordinates(self, penalty: float) -> Coordinates:
        """Return the map from whitened coordinates to offsets, and its transpose for gradients (float64 in and out).

        With H = L·Lᵀ (the Hessian including the penalty), coordinates u map to the offset L⁻ᵀ·u, and a gradient g maps to L⁻¹·g.
        """
        assert self.hessian is not None
        rows, classes = self.rows, self.classes
        columns = 1 if self.full else classes
        ridge = self.hessian.new_full((rows,), penalty)
        ridge[-1] = 0.0
        hessian, ridges = self.hessian, ridge.repeat(len(self.hessian) // rows)
        lower = interruptible(lambda: _factor(hessian, ridges), self.check_stop, hessian.numel())

        def forward(offset: Tensor) -> Tensor:
            flat = offset.float().view(columns, -1).T
            solved: Tensor = torch.linalg.solve_triangular(lower.T, flat, upper=True)
            return solved.T.reshape(classes, rows).T.double()

        def backward(slope: Tensor) -> Tensor:
            flat = slope.T.float().reshape(columns, -1).T
            solved: Tensor = torch.linalg.solve_triangular(lower, flat, upper=False)
            return solved.T.flatten().double()

        return forward, backward


def _importance(inputs: Float[Tensor, "m inputs"], point: Float[Tensor, "inputs classes"]) -> Float[Tensor, " m"]:
    uncertainty = 1 - torch.softmax(point.T @ inputs.T, dim=0).square().sum(dim=0)
    importance: Tensor = uncertainty * torch.linalg.vector_norm(inputs, dim=1).square()
    return importance


def _factor(hessian: Float[Tensor, "size size"], ridge: Float[Tensor, " size"]) -> Float[Tensor, "size size"]:
    """Return the Cholesky factor of a Hessian plus a ridge, which is raised until the sum is positive definite in float32."""
    extra = FLOAT32_ROUNDING * float(hessian.diagonal().max())
    while True:
        ridged = hessian.clone()
        ridged.diagonal().add_(ridge + extra)
        lower, failed = torch.linalg.cholesky_ex(ridged)
        if int(failed) == 0:
            factor: Tensor = lower
            return factor
        extra *= 10
