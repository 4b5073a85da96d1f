"""``linear-calibration``: how far the confidence of ``linear`` is from its accuracy."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from protocols.base import Confidences, Predictions, Task
from protocols.linear import Linear
from protocols.parts.rows import rows_of
from protocols.ranges import Count


@dataclass(frozen=True)
class LinearCalibration(Linear):
    """Expected calibration error of the classifier of ``linear``, which is not fitted again if the run has just fitted it.

    The error of the most probable class (Guo 2017, arXiv:1706.04599) in bins of equal mass, which are less biased than bins of equal
    width (Roelofs 2022, arXiv:2012.08668).

    Attributes:
        bins: Number of bins.
    """

    bins: Count

    def predict(self, task: Task) -> Predictions:
        """Return the predicted class, its probability and its bin for every test image.

        Raises:
            ValueError: As ``linear``.
        """
        head = self.head(task)
        logs = head.log_probabilities(rows_of(task.test_features, None, task.device, task.check_stop))
        highest, predicted = logs.max(dim=1)
        # Rounding can take the sum of all probabilities above 1.
        confidence = highest.exp().clamp(max=1).cpu()
        found = Confidences(predicted.cpu(), confidence, equal_mass(confidence, self.bins))
        return Predictions(confidences=found, choices={"penalty": head.choices["penalty"], "bins": self.bins})


def equal_mass(values: Float[Tensor, " n"], bins: int) -> Int[Tensor, " n"]:
    """Return the bin of each value: the edges are quantiles, so that bins have about the same number of values.

    Equal values are in the same bin, so bins may be larger, or empty, also if there are fewer values than bins. A value at an edge is in the lower
    bin, as in scikit-learn's ``calibration_curve`` with ``strategy="quantile"``.
    """
    numbers = values.numpy()
    edges = np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1])
    return torch.from_numpy(np.searchsorted(edges, numbers))
