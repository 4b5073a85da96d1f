"""``lowshot-<labels>-frozen``: logistic regression on the frozen features of a label set, with one fixed penalty."""

from dataclasses import dataclass

from torch import Tensor

from protocols.base import EvaluationProtocol, Predictions, Task
from protocols.parts.labelled import Standardisation, labelled
from protocols.parts.logistic import LogisticRegression, Solution
from protocols.parts.rows import Rows, rows_of
from protocols.ranges import Count, Positive


@dataclass(frozen=True)
class LowshotFrozen(EvaluationProtocol):
    """Logistic regression on the frozen features of each draw: cheap, and with few labels often better than fine-tuning.

    The evaluation of MSN (arXiv:2204.07141, section 5).

    Attributes:
        labels: Labels per draw: images per class, or percent.
        draws: Number of label sets.
        penalty: λ in mean cross-entropy + λ/2·‖W‖².
        tolerance: Largest absolute entry of the gradient at the solution.
    """

    labels: str
    draws: Count
    penalty: Positive
    tolerance: Positive

    def predict(self, task: Task) -> Predictions:
        """Return log-probabilities, one block per draw; features are standardised by all of ``train``, which needs no labels.

        Raises:
            ValueError: A class has no image in a label set, or the features are not finite or constant.
        """
        standardise = Standardisation.of(rows_of(task.train_features, None, task.device, task.check_stop))
        test = standardise(rows_of(task.test_features, None, task.device, task.check_stop))
        predictions = Predictions(choices={"penalty": self.penalty, "not_converged": []})
        for draw in range(self.draws):
            indices, targets = labelled(task, self.labels, draw)
            features = standardise(rows_of(task.train_features, indices, task.device, task.check_stop))
            solution = probe(features, targets, task, self.penalty, self.tolerance)
            if not solution.converged:
                predictions.choices["not_converged"].append(draw)
            predictions.scores.append(solution.log_probabilities(test).float().cpu())
            right = solution.log_probabilities(features).argmax(dim=1).cpu() == targets.cpu()
            predictions.train_accuracy.append(float(right.double().mean()))
        return predictions


def probe(features: Tensor | Rows, targets: Tensor, task: Task, penalty: float, tolerance: float) -> Solution:
    """Fit logistic regression to standardised features of some images of a task."""
    problem = LogisticRegression(features, targets, task.classes, tolerance=tolerance, check_stop=task.check_stop)
    return problem.solve(penalty)
