"""``clusters``: k-means on the features of the test images, compared with their classes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from protocols.base import EvaluationProtocol, NotFinite, Predictions, Task
from protocols.parts.kmeans import KMeans
from protocols.parts.rows import Rows, blocks_of, rows_of
from protocols.ranges import Count


@dataclass(frozen=True)
class Clusters(EvaluationProtocol):
    """k-means with as many clusters as classes on the L2-normalised features of the test images; it sees no labels at all.

    The harness assigns the clusters to the classes, one to one, so that most images are right. SCAN (arXiv:2005.12320, section 3) has the same scores
    for k-means on self-supervised features; features are normalised as for GCD (arXiv:2201.02609), and as for ``knn``.

    Attributes:
        starts: Number of starts; the one with the lowest inertia counts.
        iterations: Largest number of iterations.
    """

    starts: Count
    iterations: Count

    def predict(self, task: Task) -> Predictions:
        """Return the cluster of every test image.

        Raises:
            ValueError: Features are not finite.
        """
        rows = _normalised(rows_of(task.test_features, None, task.device, task.check_stop))
        if not all(bool(torch.isfinite(block).all()) for block in blocks_of(rows)):
            raise NotFinite("clusters: features contain values that are not finite; the encoder has diverged")
        search = KMeans(rows, task.classes, self.starts, task.generator("clusters"), task.check_stop)
        found = search.fit(self.iterations)
        clusters = found.clusters.cpu()
        choices = {
            "clusters": task.classes,
            "empty": task.classes - len(set(clusters.tolist())),
            "inertia": min(found.inertias),
            "worst_inertia": max(found.inertias),
            "iterations": found.iterations,
            "converged": found.converged,
        }
        return Predictions(clusters=clusters, choices=choices)


def _normalised(features: Tensor | Rows) -> Tensor | Rows:
    if isinstance(features, Rows):
        return features.then(lambda rows: normalize(rows.float(), dim=1), features.shape[1])
    return normalize(features.float(), dim=1)
