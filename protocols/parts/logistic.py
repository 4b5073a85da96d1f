"""Multinomial logistic regression, solved to a given gradient norm: the solver of ``linear`` and ``lowshot-…-frozen``."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from protocols.parts.curvature import Curvature
from protocols.parts.interruptible import interruptible
from protocols.parts.rows import Rows, moments
from protocols.parts.span import Span

MEMORY = 20
"""Past steps that L-BFGS keeps."""
ROUND = 20
"""Steps with one preconditioner."""
MOST_ROUNDS = 100
WIDE_ROUND = 200
"""Steps of a wide problem with one preconditioner: it hardly changes, and each round forgets the past steps."""
WIDE_ROWS = 512
"""Images of a wide problem whose part of the gradient is computed at once: their features stay in the processor's cache."""
ROUNDING = {torch.float64: 1e-14, torch.float32: 1e-7}
"""Relative increase of the objective that counts as rounding error in the line search."""
SHORTEST_STEP = 1e-9


@dataclass(frozen=True)
class Solution:
    """A fitted classifier.

    Attributes:
        weight: float64, dim × classes.
        bias: float64, with mean zero.
        objective: Mean cross-entropy (nats) + λ/2·‖W‖².
        gradient: Largest absolute entry of the objective's gradient.
        converged: Whether ``gradient`` is within the tolerance.
        steps: Number of L-BFGS steps.
    """

    weight: Float[Tensor, "dim classes"]
    bias: Float[Tensor, " classes"]
    objective: float
    gradient: float
    converged: bool
    steps: int

    def log_probabilities(self, features: Tensor | Rows) -> Float[Tensor, "n classes"]:
        """Return float64 log-probabilities."""
        if isinstance(features, Rows):
            return torch.cat([self.log_probabilities(block) for block in features.blocks()])
        return torch.log_softmax(torch.addmm(self.bias, features.double(), self.weight), dim=1)


class LogisticRegression:
    """Minimise mean cross-entropy + λ/2·‖W‖² on one set of features, for one λ after another; the bias is not penalised.

    L-BFGS with the Hessian estimate of ``Curvature`` as preconditioner; one estimate serves every λ until 20 steps are not enough, then it
    is renewed. With more dimensions than images, the search stays in the span of the images. Objective and tolerance are those of the
    original coordinates: all this changes the number of steps, not the solution.

    Args:
        features: The features, float32 or float64; as ``Rows``, they are read once per evaluation of the objective.
        labels: Their classes, from 0 to ``classes`` − 1.
        classes: Number of classes.
        tolerance: Largest absolute entry of the gradient at the solution; a number, or a function of λ.
        check_stop: Called for every evaluation of the objective and during long factorisations; may raise to give up.
        wide: For many parameters: the preconditioner is one block for every class, and the objective is evaluated in blocks of images.
        dtype: Precision of the objective: float64, or float32 for a solution to start from.
    """

    def __init__(
        self,
        features: Tensor | Rows,
        labels: Int[Tensor, " n"],
        classes: int,
        *,
        tolerance: float | Callable[[float], float],
        check_stop: Callable[[], None] = lambda: None,
        wide: bool = False,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.tolerance_of = tolerance if callable(tolerance) else lambda penalty: tolerance
        self.tolerance = math.nan
        self.wide = wide
        self.classes = classes
        self.check_stop = check_stop
        self.dim = features.shape[1]
        self.labels = labels.to(features.device)[None]
        self.dtype = dtype
        self.inputs: Tensor | Rows
        if isinstance(features, Rows):
            self.centre, self.span, self.inputs = _conditioned_rows(features, dtype)
        else:
            self.centre, self.span, inputs = interruptible(
                lambda: _conditioned(features.double()), check_stop, features.numel()
            )
            self.inputs = inputs.to(dtype)
        self.curvature = Curvature(self.inputs, classes, check_stop, wide=wide)

    def solve(self, penalty: float, start: Solution | None = None) -> Solution:
        """Find the minimum for one λ.

        Args:
            penalty: λ.
            start: A solution with the same dimensions to start from, for example that of the next larger λ.

        Raises:
            ValueError: λ is not positive.
        """
        if not penalty > 0:
            raise ValueError(f"penalty {penalty}: logistic regression has a solution only for a positive penalty")
        self.tolerance = self.tolerance_of(penalty)
        point = self._zero() if start is None else self._point_of(start)
        value, slope = self._objective(point, penalty)
        steps = 0
        for number in range(MOST_ROUNDS):
            if self._finished(slope):
                break
            if number > 1:
                self.curvature.double_sample()
            if number > 0 or self.curvature.hessian is None:
                self.curvature.estimate(point)
            moved, taken = self._round(point, penalty)
            new_value, slope = self._objective(moved, penalty)
            steps += taken
            stuck = taken == 0 or torch.equal(moved, point)
            point, value = moved, new_value
            if stuck:
                break
        exact = point.double()
        weight = exact[:-1] if self.span is None else self.span.to_features(exact[:-1])
        bias = exact[-1] - self.centre @ weight
        # Adding a constant to every bias changes nothing.
        bias = bias - bias.mean()
        gradient = self._largest_entry(slope)
        return Solution(weight, bias, value, gradient, gradient <= self.tolerance, steps)

    def _zero(self) -> Float[Tensor, "inputs classes"]:
        return torch.zeros(self.inputs.shape[1], self.classes, dtype=self.dtype, device=self.inputs.device)

    def _point_of(self, start: Solution) -> Float[Tensor, "inputs classes"]:
        """Return a solution in the coordinates of ``inputs``."""
        weight = start.weight if self.span is None else self.span.from_features(start.weight)
        return torch.cat([weight, (start.bias + self.centre @ start.weight)[None]]).to(self.dtype)

    def _objective(
        self, point: Float[Tensor, "inputs classes"], penalty: float
    ) -> tuple[float, Float[Tensor, "inputs classes"]]:
        """Return the objective and its gradient; the last row belongs to the bias."""
        self.check_stop()
        if self.wide or isinstance(self.inputs, Rows):
            return self._blockwise_objective(point, penalty)
        # Classes first: faster by half for tall, thin matrices.
        logs = torch.log_softmax(point.T @ self.inputs.T, dim=0)
        chosen = logs.gather(0, self.labels)
        value = penalty / 2 * point[:-1].square().sum() - chosen.mean()
        residual = logs.exp_().scatter_add_(0, self.labels, torch.full_like(chosen, -1.0))
        slope = (residual @ self.inputs).T / residual.shape[1]
        slope[:-1] += penalty * point[:-1]
        return float(value), slope

    def _blockwise_objective(
        self, point: Float[Tensor, "inputs classes"], penalty: float
    ) -> tuple[float, Float[Tensor, "inputs classes"]]:
        """Return the same, block by block of images: a large matrix is read from memory once instead of twice."""
        weights, total = point.T.contiguous(), torch.zeros((), dtype=torch.float64, device=point.device)
        slope = torch.zeros_like(weights)
        start = 0
        blocks = self.inputs.blocks() if isinstance(self.inputs, Rows) else torch.split(self.inputs, WIDE_ROWS)
        for inputs in blocks:
            labels = self.labels[:, start : start + len(inputs)]
            start += len(inputs)
            logs = torch.log_softmax(weights @ inputs.T, dim=0)
            chosen = logs.gather(0, labels)
            total += chosen.double().sum()
            slope.addmm_(logs.exp_().scatter_add_(0, labels, torch.full_like(chosen, -1.0)), inputs)
        slope = slope.T / len(self.inputs)
        slope[:-1] += penalty * point[:-1]
        return penalty / 2 * float(point[:-1].double().square().sum()) - float(total) / len(self.inputs), slope

    def _largest_entry(self, slope: Float[Tensor, "inputs classes"]) -> float:
        """Return the largest absolute entry of a gradient, in the original coordinates."""
        slope = slope.double()
        weight = slope[:-1] if self.span is None else self.span.to_features(slope[:-1])
        return max(float(weight.abs().max()), float(slope[-1].abs().max()))

    def _finished(self, slope: Float[Tensor, "inputs classes"]) -> bool:
        """Return whether every entry of a gradient, in the original coordinates, is within the tolerance."""
        # The largest entry is at least the root mean square, which is cheap: it needs no conversion to all dimensions.
        if float(slope[:-1].norm()) > self.tolerance * math.sqrt(self.dim * self.classes):
            return False
        return self._largest_entry(slope) <= self.tolerance

    def _round(
        self, origin: Float[Tensor, "inputs classes"], penalty: float
    ) -> tuple[Float[Tensor, "inputs classes"], int]:
        """Take up to ``ROUND`` (wide: ``WIDE_ROUND``) steps of L-BFGS with one preconditioner; return the new point and the number of steps."""
        forward, backward = self.curvature.coordinates(penalty)
        point, (value, slope) = origin, self._objective(origin, penalty)
        whitened = backward(slope)
        past: list[tuple[Tensor, Tensor]] = []
        length = 0.5
        most, rounding = WIDE_ROUND if self.wide else ROUND, ROUNDING[point.dtype]
        for step in range(most):
            direction = -quasi_newton(whitened, past)
            offset, descent = forward(direction).to(point.dtype), float(whitened @ direction)
            # After a short step the next one is likely to be short too.
            length = min(1.0, 2 * length)
            while True:
                tried = point + length * offset
                new_value, new_slope = self._objective(tried, penalty)
                if new_value <= value + 1e-4 * length * descent + rounding * abs(value):
                    break
                length /= 2
                if length < SHORTEST_STEP:
                    return point, step
            new_whitened = backward(new_slope)
            taken, change = length * direction, new_whitened - whitened
            if float(taken @ change) > 0:
                past = [*past[1 - MEMORY :], (taken, change)]
            point, value, whitened = tried, new_value, new_whitened
            if self._finished(new_slope):
                return point, step + 1
        return point, most


def _conditioned(
    features: Float[Tensor, "n dim"],
) -> tuple[Float[Tensor, " dim"], Span | None, Float[Tensor, "n inputs"]]:
    """Return the centre of the features, their span if they have more dimensions than images, and the inputs of the solver."""
    # The bias is not penalised, so centring changes only the conditioning.
    centre = features.mean(dim=0)
    count, dim = features.shape
    span = Span(features, centre) if dim > count else None
    inputs = features.new_ones(count, (dim if span is None else span.inputs.shape[1]) + 1)
    if span is None:
        torch.sub(features, centre, out=inputs[:, :-1])
    else:
        inputs[:, :-1] = span.inputs
    return centre, span, inputs


def _conditioned_rows(features: Rows, dtype: torch.dtype) -> tuple[Float[Tensor, " dim"], Span | None, Tensor | Rows]:
    """Return the same for features that are too many for memory."""
    centre, _ = moments(features)
    count, dim = features.shape
    if dim > count:
        span = Span(features, centre)
        return centre, span, torch.cat([span.inputs, span.inputs.new_ones(count, 1)], dim=1).to(dtype)

    def convert(rows: Tensor) -> Tensor:
        return torch.cat([rows.double() - centre, centre.new_ones(len(rows), 1)], dim=1).to(dtype)

    return centre, None, features.then(convert, dim + 1)


def quasi_newton(slope: Float[Tensor, " n"], past: list[tuple[Tensor, Tensor]]) -> Float[Tensor, " n"]:
    """Return the inverse Hessian times a gradient, estimated from past (step, change of gradient) (Nocedal & Wright 2006, algorithm 7.4).

    The initial Hessian is the identity, because the coordinates are whitened.
    """
    weights = []
    for step, change in reversed(past):
        weight = (step @ slope) / (step @ change)
        slope = slope - weight * change
        weights.append(weight)
    for (step, change), weight in zip(past, reversed(weights), strict=True):
        slope = slope + (weight - (change @ slope) / (step @ change)) * step
    return slope
