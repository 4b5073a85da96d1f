"""``linear``: multinomial logistic regression on frozen features with the penalty chosen on ``val``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, TypeVar, cast

import torch
from annotated_types import MinLen
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import nll_loss

from protocols.base import EvaluationProtocol, Predictions, Task
from protocols.parts.interruptible import interruptible
from protocols.parts.labelled import Standardisation, require_every_class
from protocols.parts.logistic import LogisticRegression, Solution
from protocols.parts.rows import Rows, rows_of
from protocols.ranges import NotNegative, Positive, Whole

SURE = 0.9
"""Share of the tolerance to which float32 is solved, so that float64 finds it within the tolerance."""

Fitted = TypeVar("Fitted")


@dataclass(frozen=True)
class FittedHead:
    """The fitted classifier of ``linear``.

    Attributes:
        standardise: Standardisation by all of ``train``.
        solution: The classifier of standardised features.
        choices: The chosen penalty, and how the fit went.
        train_accuracy: Accuracy on ``train``, in [0, 1].
    """

    standardise: Standardisation
    solution: Solution
    choices: dict[str, Any]
    train_accuracy: float

    def log_probabilities(self, features: Tensor | Rows) -> Float[Tensor, "n classes"]:
        """Return float64 log-probabilities of features."""
        return self.solution.log_probabilities(self.standardise(features))


@dataclass(frozen=True)
class Linear(EvaluationProtocol):
    """Logistic regression, fitted on ``train`` without ``val`` for each λ, then on all of ``train`` with the best λ.

    The walk goes from the largest λ to smaller ones and ends at the first λ whose log-loss on ``val`` is clearly above the lowest before
    it: without a penalty to hold them, separable features take the solver thousands of steps, and no such λ is ever chosen. The best λ has
    the lowest log-loss on ``val``; a tie goes to the larger. Features are standardised in float64 by the images that are fitted on.
    Kornblith 2019 (arXiv:1805.08974, section 3); the logistic regression of DINOv2 (arXiv:2304.07193).

    Attributes:
        penalties: The values of λ to try.
        tolerance: Largest absolute entry of the gradient at the solution, unless the problem is wide.
        rise: The walk ends at a log-loss of more than 1 + ``rise`` times the lowest before it.
        wide: A problem with more parameters than this is wide.
        wide_tolerance: For wide problems the tolerance is this share of λ, because the distance to the solution is at most the gradient / λ;
            from ``tolerance`` (during the walk ``walk_tolerance``) to ``most_tolerance``. They are solved in float32; only the last fit ends in float64.
        walk_tolerance: Smallest tolerance for wide problems during the walk.
        most_tolerance: Largest tolerance for wide problems.
    """

    penalties: Annotated[tuple[Positive, ...], MinLen(1)]
    tolerance: Positive
    rise: NotNegative
    wide: Whole
    wide_tolerance: Positive
    walk_tolerance: Positive
    most_tolerance: Positive

    def predict(self, task: Task) -> Predictions:
        """Return log-probabilities; ``choices`` holds the chosen penalty and the log-loss on ``val`` of every penalty that was fitted.

        Raises:
            ValueError: A class has no image to fit on, or the features are not finite or constant.
        """
        head = self.head(task)
        logs = head.log_probabilities(rows_of(task.test_features, None, task.device, task.check_stop))
        return Predictions(scores=[logs.float().cpu()], choices=head.choices, train_accuracy=[head.train_accuracy])

    def head(self, task: Task) -> FittedHead:
        """Return the fitted classifier, which all protocols of a run with these constants share."""
        constants = tuple(getattr(self, field.name) for field in fields(Linear))
        return cast(FittedHead, task.once((Linear, constants), lambda: self._fitted(task)))

    def _fitted(self, task: Task) -> FittedHead:
        features = rows_of(task.train_features, None, task.device, task.check_stop)
        labels = task.train_labels.to(task.device)
        require_every_class(task.train_labels[task.fit], task.classes, "train without val")
        fit = rows_of(task.train_features, task.fit, task.device, task.check_stop)
        before = _standardisation(fit, task)
        inputs = _standardised(before, fit, task)
        del fit
        best, solutions, losses = self._choose(before, inputs, labels, task)
        del inputs
        unfinished = [f"{penalty:.3g}" for penalty, solution in solutions.items() if not solution.converged]

        standardise = _standardisation(features, task)
        inputs = _standardised(standardise, features, task)
        start = _restandardised(solutions[best], before, standardise)
        if self._is_wide(inputs, task):
            # Nearly all steps in float32, the last ones in float64.
            start = self._problem(inputs, labels, task, self.tolerance, torch.float32).solve(best, start)
        solution = self._problem(inputs, labels, task, self.tolerance).solve(best, start)
        if not solution.converged:
            unfinished.append("refit")
        choices = {
            "penalty": best,
            "val_log_loss": {f"{penalty:.3g}": loss for penalty, loss in losses.items()},
            "at_edge": best in (min(self.penalties), max(self.penalties)),
            "dropped_dimensions": features.shape[1] - len(standardise.kept),
            "not_converged": unfinished,
        }
        fitted = solution.log_probabilities(inputs).argmax(dim=1)
        accuracy = float((fitted == labels).double().mean())
        return FittedHead(standardise, solution, choices, accuracy)

    def _choose(
        self, standardise: Standardisation, inputs: Tensor | Rows, labels: Tensor, task: Task
    ) -> tuple[float, dict[float, Solution], dict[float, float]]:
        """Return the best λ, and the solution and the log-loss on ``val`` of every λ that was fitted."""
        fit, val = task.fit.to(task.device), task.val.to(task.device)
        dtype = torch.float32 if self._is_wide(inputs, task) else torch.float64
        problem = self._problem(inputs, labels[fit], task, self.walk_tolerance, dtype)
        held_out = standardise(rows_of(task.train_features, task.val, task.device, task.check_stop))

        def solve(penalty: float, larger: Solution | None) -> tuple[Solution, float]:
            solution = problem.solve(penalty, start=larger)
            return solution, float(nll_loss(solution.log_probabilities(held_out), labels[val]))

        return walk(self.penalties, solve, self.rise)

    def _is_wide(self, inputs: Tensor | Rows, task: Task) -> bool:
        return task.classes * (min(inputs.shape) + 1) > self.wide

    def _problem(
        self, inputs: Tensor | Rows, labels: Tensor, task: Task, least: float, dtype: torch.dtype = torch.float64
    ) -> LogisticRegression:
        wide = self._is_wide(inputs, task)

        def tolerance(penalty: float) -> float:
            if not wide:
                return self.tolerance
            allowed = max(least, min(self.most_tolerance, self.wide_tolerance * penalty))
            # The gradient in float64 differs in the last digits.
            return allowed * SURE if dtype == torch.float32 else allowed

        return LogisticRegression(
            inputs, labels, task.classes, tolerance=tolerance, check_stop=task.check_stop, wide=wide, dtype=dtype
        )


def walk(
    penalties: Iterable[float], solve: Callable[[float, Fitted | None], tuple[Fitted, float]], rise: float
) -> tuple[float, dict[float, Fitted], dict[float, float]]:
    """Fit one λ after another, the largest first, until the log-loss has clearly passed its minimum.

    Args:
        penalties: The values of λ.
        solve: (λ, solution of the next larger λ or None) -> (solution, log-loss on ``val``).
        rise: The walk ends at a log-loss of more than 1 + ``rise`` times the lowest before it.

    Returns:
        The λ of the lowest log-loss (of several, the largest), and the solution and the log-loss of every λ that was fitted.
    """
    solutions: dict[float, Fitted] = {}
    losses: dict[float, float] = {}
    solution: Fitted | None = None
    for penalty in sorted(penalties, reverse=True):
        solution, loss = solve(penalty, solution)
        solutions[penalty], losses[penalty] = solution, loss
        if loss > (1 + rise) * min(losses.values()):
            break
    # The largest λ comes first, and min returns the first of equal values.
    return min(losses, key=losses.__getitem__), solutions, losses


def _standardisation(features: Tensor | Rows, task: Task) -> Standardisation:
    if isinstance(features, Rows):
        return Standardisation.of(features)
    return interruptible(lambda: Standardisation.of(features), task.check_stop, features.numel())


def _standardised(standardise: Standardisation, features: Tensor | Rows, task: Task) -> Tensor | Rows:
    if isinstance(features, Rows):
        return standardise(features)
    return interruptible(lambda: standardise(features), task.check_stop, features.numel())


def _restandardised(solution: Solution, before: Standardisation, after: Standardisation) -> Solution:
    """Return the same classifier for features with another standardisation: the start of the refit."""
    weight = solution.weight.new_zeros(len(before.mean), solution.weight.shape[1])
    weight[before.kept] = solution.weight / before.deviation[before.kept, None]
    bias = solution.bias - before.mean @ weight + after.mean @ weight
    return replace(solution, weight=(weight * after.deviation[:, None])[after.kept], bias=bias)
