"""Scores of clusters that were found without labels: the best assignment to the classes, NMI and ARI."""

import torch
from jaxtyping import Int
from torch import Tensor

MOST_CLUSTERS = 1_000_000


def assigned_classes(
    clusters: Int[Tensor, " test"], labels: Int[Tensor, " test"], classes: int
) -> Int[Tensor, " test"]:
    """Return the class of each image's cluster under the one-to-one assignment with the most right answers; −1 for a cluster without a class.

    The Hungarian accuracy of SCAN (arXiv:2005.12320, section 3) and DEC (arXiv:1511.06335, equation 10).

    Raises:
        ValueError: The clusters are not one whole number from 0 for each test image.
    """
    from scipy.optimize import linear_sum_assignment

    clusters = _validated(clusters, len(labels))
    count = int(clusters.max()) + 1
    together = torch.bincount(clusters * classes + labels, minlength=count * classes).view(count, classes)
    rows, columns = linear_sum_assignment(together.numpy(), maximize=True)
    assigned = torch.full((count,), -1)
    assigned[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return assigned[clusters]


def cluster_scores(clusters: Int[Tensor, " test"], labels: Int[Tensor, " test"]) -> dict[str, float]:
    """Return ``nmi``, the normalised mutual information (arithmetic mean of the entropies), in [0, 1], and ``ari``, the adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    true, found = labels.numpy(), _validated(clusters, len(labels)).numpy()
    # Rounding can take a perfect match above 1.
    nmi = min(1.0, float(normalized_mutual_info_score(true, found)))
    return {"nmi": nmi, "ari": float(adjusted_rand_score(true, found))}


def _validated(clusters: Tensor, images: int) -> Int[Tensor, " test"]:
    clusters = clusters.detach().cpu()
    if tuple(clusters.shape) != (images,) or clusters.dtype != torch.int64:
        kind = f"{clusters.dtype} of shape {tuple(clusters.shape)}"
        raise ValueError(f"clusters are {kind}, expected one int64 for each of {images} test images")
    if not 0 <= int(clusters.min()) <= int(clusters.max()) < MOST_CLUSTERS:
        raise ValueError(
            f"clusters from {int(clusters.min())} to {int(clusters.max())}; they are 0 to {MOST_CLUSTERS - 1:,}"
        )
    return clusters
