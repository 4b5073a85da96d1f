"""Multinomial logistic regression to a stated gradient norm: the solver of ``linear`` and of the frozen low-shot protocols."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from protocols.parts.curvature import Curvature
from protocols.parts.labelled import BLOCK

MEMORY = 20
ROUND = 20
ROUNDING = 1e-14
SHORTEST_STEP = 1e-9
MOST_ROUNDS = 100
SMALLEST_EIGENVALUE = 1e-12


@dataclass(frozen=True)
class Solution:
    """A fitted classifier.

    Attributes:
        weight: float64, dim × classes.
        bias: float64, of mean zero.
        objective: Mean cross-entropy (nats) + λ/2·‖W‖².
        gradient: Largest absolute entry of the objective's gradient.
        converged: Whether that is within the tolerance.
        steps: Steps of L-BFGS that it took.
    """

    weight: Float[Tensor, "dim classes"]
    bias: Float[Tensor, " classes"]
    objective: float
    gradient: float
    converged: bool
    steps: int

    def log_probabilities(self, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n classes"]:
        """Return float64 log-probabilities."""
        return torch.log_softmax(torch.addmm(self.bias, features.double(), self.weight), dim=1)


class Span:
    """The span of centred images of more dimensions than there are images: a solution lies in it, since only the penalty reaches outside.

    Its orthonormal basis is known by the eigenvectors of the n × n Gram matrix alone; no second matrix of the images' width is held.

    Attributes:
        inputs: The images in coordinates of the span.
    """

    def __init__(self, features: Float[Tensor, "n dim"], centre: Float[Tensor, " dim"]) -> None:
        self.features, self.centre = features, centre
        gram = features.new_zeros(len(features), len(features))
        for block, middle in zip(torch.split(features, BLOCK, dim=1), torch.split(centre, BLOCK), strict=True):
            centred = block - middle
            gram.addmm_(centred, centred.T)
        squares, vectors = torch.linalg.eigh(gram)
        kept = squares > squares[-1] * SMALLEST_EIGENVALUE
        self.vectors, self.singular = vectors[:, kept], squares[kept].sqrt()
        self.inputs = self.vectors * self.singular

    def outside(self, inner: Float[Tensor, "inner classes"]) -> Float[Tensor, "dim classes"]:
        """Return in all dimensions what is given in coordinates of the span."""
        mixed = self.vectors @ (inner / self.singular[:, None])
        found: Tensor = self.features.T @ mixed - torch.outer(self.centre, mixed.sum(dim=0))
        return found

    def inside(self, outer: Float[Tensor, "dim classes"]) -> Float[Tensor, "inner classes"]:
        """Return the projection into the span, in its coordinates."""
        seen = self.features @ outer - self.centre @ outer
        found: Tensor = self.vectors.T @ seen / self.singular[:, None]
        return found


class LogisticRegression:
    """Mean cross-entropy + λ/2·‖W‖² on one set of features, the bias free; solved for one λ after the other.

    L-BFGS in coordinates in which the Hessian, as ``Curvature`` measures it, is the identity; one measurement serves every λ until 20
    steps do not suffice, then a new round measures anew. Where there are more dimensions than images, the search stays in the images'
    span. Objective and tolerance are those of the original coordinates: all this changes the number of steps, not the solution.
    """

    def __init__(
        self, features: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], classes: int, *, tolerance: float
    ) -> None:
        wide = features.double()
        self.tolerance = tolerance
        self.classes = classes
        # The bias is free, so centring changes nothing but the conditioning.
        self.centre = wide.mean(dim=0)
        count, self.dim = wide.shape
        self.span = Span(wide, self.centre) if self.dim > count else None
        inner = self.dim if self.span is None else self.span.inputs.shape[1]
        self.inputs = wide.new_ones(count, inner + 1)
        if self.span is None:
            torch.sub(wide, self.centre, out=self.inputs[:, :-1])
        else:
            self.inputs[:, :-1] = self.span.inputs
        self.labels = labels.to(wide.device)[None]
        self.curvature = Curvature(self.inputs, classes)

    def solve(self, penalty: float, start: Solution | None = None) -> Solution:
        """Minimise for one λ.

        Args:
            penalty: λ.
            start: A solution on the same dimensions to start from, for example that of the next larger λ.

        Raises:
            ValueError: λ is not positive.
        """
        if not penalty > 0:
            raise ValueError(f"penalty {penalty}: logistic regression needs a positive one, or it has no solution")
        point = self.inputs.new_zeros(self.inputs.shape[1], self.classes) if start is None else self._inside(start)
        value, slope = self._objective(point, penalty)
        steps = 0
        for turn in range(MOST_ROUNDS):
            if self._finished(slope):
                break
            if turn > 1:
                self.curvature.look_closer()
            if turn > 0 or self.curvature.hessian is None:
                self.curvature.measure(point)
            moved, taken = self._round(point, penalty)
            new_value, slope = self._objective(moved, penalty)
            steps += taken
            stuck = taken == 0 or torch.equal(moved, point)
            point, value = moved, new_value
            if stuck:
                break
        weight = point[:-1] if self.span is None else self.span.outside(point[:-1])
        bias = point[-1] - self.centre @ weight
        # Adding a constant to every bias changes nothing.
        bias = bias - bias.mean()
        size = self._size(slope)
        return Solution(weight, bias, value, size, size <= self.tolerance, steps)

    def _inside(self, start: Solution) -> Float[Tensor, "inputs classes"]:
        """Return a solution in the coordinates of ``inputs``."""
        weight = start.weight if self.span is None else self.span.inside(start.weight)
        return torch.cat([weight, (start.bias + self.centre @ start.weight)[None]])

    def _objective(
        self, point: Float[Tensor, "inputs classes"], penalty: float
    ) -> tuple[float, Float[Tensor, "inputs classes"]]:
        """Return the objective and its gradient; the last row is the bias."""
        # Classes first: faster by half for tall, thin matrices.
        logs = torch.log_softmax(point.T @ self.inputs.T, dim=0)
        chosen = logs.gather(0, self.labels)
        value = penalty / 2 * point[:-1].square().sum() - chosen.mean()
        residual = logs.exp_().scatter_add_(0, self.labels, torch.full_like(chosen, -1.0))
        slope = (residual @ self.inputs).T / residual.shape[1]
        slope[:-1] += penalty * point[:-1]
        return float(value), slope

    def _size(self, slope: Float[Tensor, "inputs classes"]) -> float:
        """Return the largest absolute entry of a gradient, in the original coordinates."""
        weight = slope[:-1] if self.span is None else self.span.outside(slope[:-1])
        return max(float(weight.abs().max()), float(slope[-1].abs().max()))

    def _finished(self, slope: Float[Tensor, "inputs classes"]) -> bool:
        """Return whether no entry of a gradient, in the original coordinates, is above the tolerance."""
        # The largest entry is at least the root mean square, which is known without a look at all dimensions.
        if float(slope[:-1].norm()) > self.tolerance * math.sqrt(self.dim * self.classes):
            return False
        return self._size(slope) <= self.tolerance

    def _round(
        self, origin: Float[Tensor, "inputs classes"], penalty: float
    ) -> tuple[Float[Tensor, "inputs classes"], int]:
        """Take some steps of L-BFGS with one preconditioner; return where they lead and how many they were."""
        forward, backward = self.curvature.chart(penalty)
        point, (value, slope) = origin, self._objective(origin, penalty)
        inside = backward(slope)
        past: list[tuple[Tensor, Tensor]] = []
        length = 0.5
        for step in range(ROUND):
            direction = -quasi_newton(inside, past)
            moves, descent = forward(direction), float(inside @ direction)
            # Where the last step had to be short, the next is likely to be.
            length = min(1.0, 2 * length)
            while True:
                tried = point + length * moves
                new_value, new_slope = self._objective(tried, penalty)
                if new_value <= value + 1e-4 * length * descent + ROUNDING * abs(value):
                    break
                length /= 2
                if length < SHORTEST_STEP:
                    return point, step
            new_inside = backward(new_slope)
            gone, change = length * direction, new_inside - inside
            if float(gone @ change) > 0:
                past = [*past[1 - MEMORY :], (gone, change)]
            point, value, inside = tried, new_value, new_inside
            if self._finished(new_slope):
                return point, step + 1
        return point, ROUND


def quasi_newton(slope: Float[Tensor, " n"], past: list[tuple[Tensor, Tensor]]) -> Float[Tensor, " n"]:
    """Return the inverse Hessian, as past (step, change of gradient) show it, times a gradient (Nocedal & Wright 2006, algorithm 7.4).

    What they do not show is taken for the identity: the coordinates are made for that.
    """
    weights = []
    for step, change in reversed(past):
        weight = (step @ slope) / (step @ change)
        slope = slope - weight * change
        weights.append(weight)
    for (step, change), weight in zip(past, reversed(weights), strict=True):
        slope = slope + (weight - (change @ slope) / (step @ change)) * step
    return slope
