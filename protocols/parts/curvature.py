"""The curvature of a mean cross-entropy, and coordinates in which it is about that of a sphere: the preconditioner of ``logistic``."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from protocols.parts.labelled import BLOCK
from protocols.parts.subsets import SEED

LARGEST_HESSIAN = 8000
"""Parameters up to which the whole Hessian is measured: above, factoring it would take longer than the steps that it saves."""
WORK = 5e11
"""Multiplications that the first measurement may take; they say how many images it sees."""
FEWEST_IMAGES = 4096
"""What it sees at least."""
UNIFORM_SHARE = 0.1
"""Of the sample that is drawn whatever the classifier is unsure of, so that no image stands for too many."""
FLOAT32_ROUNDING = 1e-7
"""Of the largest entry of the diagonal: the first ridge that keeps a factorisation in float32 positive."""

Chart = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


class Curvature:
    """The Hessian of a mean cross-entropy at a point, in float32, and its Cholesky factor for one penalty.

    A preconditioner changes the number of steps, not the solution, so float32 and a sample will do. Of all images where that costs little,
    else of a sample in which those of which the classifier is unsure are the most likely (weighted by 1 / probability): at small
    penalties the sure ones add nothing, and a uniform sample misses most of the curvature.

    Attributes:
        images: How many images the Hessian is measured on, about.
        hessian: As measured last (its lower triangle), or None.
    """

    def __init__(self, inputs: Float[Tensor, "n inputs"], classes: int) -> None:
        self.inputs, self.classes = inputs, classes
        count, self.rows = inputs.shape
        self.whole = self.rows * classes <= LARGEST_HESSIAN
        size = self.rows * classes if self.whole else self.rows
        self.images = min(count, max(FEWEST_IMAGES, int(WORK / size**2)))
        self.luck = torch.rand(count, generator=torch.Generator().manual_seed(SEED)).to(inputs.device)
        self.hessian: Tensor | None = None

    def look_closer(self) -> None:
        """Take twice the images from the next measurement on: the last one was not good enough."""
        self.images = min(len(self.inputs), 2 * self.images)

    def measure(self, point: Float[Tensor, "inputs classes"]) -> None:
        """Estimate the Hessian at a point: of all parameters, or where they are too many one block.

        The block is that of one class where all classes are equally likely.
        """
        sample, weights = self._sample(point)
        shares = weights / len(self.inputs)
        if not self.whole:
            self.hessian = (sample * shares[:, None]).T @ sample / self.classes
            return
        blocks = sample.new_zeros(self.classes, self.rows, self.classes, self.rows)
        narrow = point.float()
        for images, share in zip(torch.split(sample, BLOCK), torch.split(shares, BLOCK), strict=True):
            chances = torch.softmax(images @ narrow, dim=1)
            likely = chances.T[:, :, None] * images
            # The factorisation reads the lower triangle alone.
            for c in range(self.classes):
                own = likely[c] * share[:, None]
                blocks[c, :, c, :].addmm_(own.T, images - likely[c])
                for other in range(c):
                    blocks[c, :, other, :].addmm_(own.T, likely[other], alpha=-1)
        # A shift common to all classes changes no probability: without this the bias would have no factor.
        blocks.diagonal(dim1=1, dim2=3).add_(1 / self.classes**2)
        self.hessian = blocks.view(self.rows * self.classes, self.rows * self.classes)

    def _sample(self, point: Float[Tensor, "inputs classes"]) -> tuple[Float[Tensor, "m inputs"], Float[Tensor, " m"]]:
        """Return images in float32 and how many each stands for."""
        count = len(self.inputs)
        if self.images == count:
            return self.inputs.float(), self.inputs.new_ones(count, dtype=torch.float32)
        unsure = 1 - torch.softmax(point.T @ self.inputs.T, dim=0).square().sum(dim=0)
        worth = unsure * torch.linalg.vector_norm(self.inputs, dim=1).square()
        kept = (1 - UNIFORM_SHARE) * worth / worth.sum() + UNIFORM_SHARE / count
        kept = (kept * self.images).clamp(max=1.0)
        chosen = self.luck < kept
        return self.inputs[chosen].float(), 1 / kept[chosen].float()

    def chart(self, penalty: float) -> Chart:
        """Return the map from search coordinates to offsets, and its transpose for gradients (both float64 outside).

        With H = L·Lᵀ the Hessian with the penalty's, coordinates u stand for the offset L⁻ᵀ·u, and a gradient g becomes L⁻¹·g.
        """
        assert self.hessian is not None
        rows, classes = self.rows, self.classes
        columns = 1 if self.whole else classes
        ridge = self.hessian.new_full((rows,), penalty)
        ridge[-1] = 0.0
        lower = _factor(self.hessian, ridge.repeat(len(self.hessian) // rows))

        def forward(offset: Tensor) -> Tensor:
            inside = offset.float().view(columns, -1).T
            found: Tensor = torch.linalg.solve_triangular(lower.T, inside, upper=True)
            return found.T.reshape(classes, rows).T.double()

        def backward(slope: Tensor) -> Tensor:
            inside = slope.T.float().reshape(columns, -1).T
            found: Tensor = torch.linalg.solve_triangular(lower, inside, upper=False)
            return found.T.flatten().double()

        return forward, backward


def _factor(hessian: Float[Tensor, "size size"], ridge: Float[Tensor, " size"]) -> Float[Tensor, "size size"]:
    """Return the Cholesky factor of a Hessian with a ridge, the ridge raised until rounding leaves it positive."""
    more = FLOAT32_ROUNDING * float(hessian.diagonal().max())
    while True:
        curved = hessian.clone()
        curved.diagonal().add_(ridge + more)
        lower, fault = torch.linalg.cholesky_ex(curved)
        if int(fault) == 0:
            found: Tensor = lower
            return found
        more *= 10
