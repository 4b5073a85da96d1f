"""``linear``: multinomial logistic regression on frozen features with the penalty chosen on ``val``."""

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import nll_loss

from protocols.base import EvaluationProtocol, Predictions, Task
from protocols.parts.labelled import Standardisation, require_every_class
from protocols.parts.logistic import LogisticRegression, Solution


@dataclass(frozen=True)
class Linear(EvaluationProtocol):
    """Logistic regression, fitted on ``train`` without ``val`` for each λ, then on all of ``train`` with the best λ.

    The best λ has the lowest log-loss on ``val``; a tie goes to the larger. Features are standardised in float64 by the images that are
    fitted on. Kornblith 2019 (arXiv:1805.08974, section 3); the logistic regression of DINOv2 (arXiv:2304.07193).

    Attributes:
        penalties: The values of λ to try.
        tolerance: Largest absolute entry of the gradient at the solution.
    """

    penalties: tuple[float, ...]
    tolerance: float

    def predict(self, task: Task) -> Predictions:
        """Return log-probabilities; ``choices`` holds the chosen penalty and the log-loss of every penalty on ``val``.

        Raises:
            ValueError: A class has no image to fit on, or the features are not finite or constant.
        """
        features, labels = task.train_features.to(task.device), task.train_labels.to(task.device)
        fit, val = task.fit.to(task.device), task.val.to(task.device)
        require_every_class(labels[fit], task.classes, "train without val")
        before = Standardisation.of(features[fit])
        solutions, losses = self._fit_all(before, features, labels, fit, val, task.classes)
        # The largest λ comes first, and min returns the first of equal values.
        best = min(losses, key=losses.__getitem__)
        unfinished = [f"{penalty:.3g}" for penalty, solution in solutions.items() if not solution.converged]

        standardise = Standardisation.of(features)
        inputs = standardise(features)
        start = _restandardised(solutions[best], before, standardise)
        solution = LogisticRegression(inputs, labels, task.classes, tolerance=self.tolerance).solve(best, start)
        if not solution.converged:
            unfinished.append("refit")
        choices = {
            "penalty": best,
            "val_log_loss": {f"{penalty:.3g}": loss for penalty, loss in losses.items()},
            "at_edge": best in (min(self.penalties), max(self.penalties)),
            "dropped_dimensions": features.shape[1] - len(standardise.kept),
            "not_converged": unfinished,
        }
        logs = solution.log_probabilities(standardise(task.test_features.to(task.device)))
        fitted = solution.log_probabilities(inputs).argmax(dim=1)
        accuracy = float((fitted == labels).double().mean())
        return Predictions(scores=[logs.float().cpu()], choices=choices, train_accuracy=[accuracy])

    def _fit_all(
        self, standardise: Standardisation, features: Tensor, labels: Tensor, fit: Tensor, val: Tensor, classes: int
    ) -> tuple[dict[float, Solution], dict[float, float]]:
        """Return the solution of every λ and its log-loss on ``val``, the largest λ first."""
        problem = LogisticRegression(standardise(features[fit]), labels[fit], classes, tolerance=self.tolerance)
        held_out = standardise(features[val])
        solutions: dict[float, Solution] = {}
        losses: dict[float, float] = {}
        solution: Solution | None = None
        for penalty in sorted(self.penalties, reverse=True):
            solution = problem.solve(penalty, start=solution)
            solutions[penalty] = solution
            losses[penalty] = float(nll_loss(solution.log_probabilities(held_out), labels[val]))
        return solutions, losses


def _restandardised(solution: Solution, before: Standardisation, after: Standardisation) -> Solution:
    """Return the same classifier for features with another standardisation: the start of the refit."""
    weight = solution.weight.new_zeros(len(before.mean), solution.weight.shape[1])
    weight[before.kept] = solution.weight / before.deviation[before.kept, None]
    bias = solution.bias - before.mean @ weight + after.mean @ weight
    return replace(solution, weight=(weight * after.deviation[:, None])[after.kept], bias=bias)
