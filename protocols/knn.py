"""``knn``: a weighted vote of the nearest training features."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import faiss
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from protocols.base import EvaluationProtocol, NotFinite, Predictions, Task
from protocols.parts.interruptible import interruptible
from protocols.ranges import Count, Positive

BLOCK_NUMBERS = 2**25
"""Numbers of the training features in one search block: 128 MiB, and as much again in the index."""
QUERIES = 2**15
"""Queries that are searched at once: 250 MB for 200 neighbours of each."""
QUERY_NUMBERS = 2**26
"""Numbers of the queries that are searched at once: 256 MiB."""
MERGED_AT_ONCE = 4096
"""Queries whose results are merged at once."""


@dataclass(frozen=True)
class Knn(EvaluationProtocol):
    """Nearest neighbours by cosine similarity; each votes with weight exp(cos / T).

    The vote of DINO (arXiv:2104.14294, appendix F) and InstDisc (arXiv:1805.01978, section 3.4) with an exact search. k is never above
    the number of training images.

    Attributes:
        k: Number of neighbours.
        temperature: T.
        shared: Number of extra neighbours of mean weight that are divided evenly among the classes, so that a class without a vote has a
            finite log-loss; the order of the classes does not change.
        other_k: Other values of k, recorded as variants from the same search.
    """

    k: Count
    temperature: Positive
    shared: Positive
    other_k: tuple[Count, ...] = ()

    def predict(self, task: Task) -> Predictions:
        """Return the log-probabilities of the vote, and those of every other k as variants.

        Raises:
            ValueError: Features are not finite.
        """
        count = len(task.train_features)
        most = min(max(self.k, *self.other_k, 1), count)
        device = search_device(task.device)
        labels = task.train_labels.cpu()
        scores: dict[int, list[Tensor]] = {k: [] for k in (self.k, *self.other_k)}
        for queries in torch.split(task.test_features, queries_at_once(task.test_features.shape[1])):
            cosines, neighbours = nearest(task.train_features, queries, most, device, task.check_stop)
            voters = labels[neighbours]
            for k, blocks in scores.items():
                task.check_stop()
                blocks.append(vote(cosines[:, :k], voters[:, :k], task.classes, self.temperature, self.shared))

        return Predictions(
            scores=[torch.cat(scores[self.k])],
            variants={f"k={k}": torch.cat(scores[k]) for k in self.other_k},
            choices={"k": min(self.k, count), "images": count, "index": device.type},
        )


def queries_at_once(dim: int) -> int:
    """Return the number of test images whose neighbours are searched at once."""
    return max(1, min(QUERIES, QUERY_NUMBERS // dim))


def search_device(device: torch.device) -> torch.device:
    """Return where neighbours are searched: on the GPU if ``device`` is one and faiss supports it, else on the CPU."""
    on_gpu = device.type == "cuda" and getattr(faiss, "get_num_gpus", int)() > 0
    return device if on_gpu else torch.device("cpu")


def nearest(
    bank: Float[Tensor, "train dim"],
    queries: Float[Tensor, "test dim"],
    k: int,
    device: torch.device,
    check_stop: Callable[[], None] = lambda: None,
) -> tuple[Float[Tensor, "test k"], Int[Tensor, "test k"]]:
    """Return the k largest cosine similarities per query, descending, and the indices of these neighbours; exact.

    The training features are searched block by block, so that they are never copied as a whole. A feature vector of norm zero has cosine 0
    with every other.

    Raises:
        ValueError: Features are not finite.
    """
    unit_queries = _normalised(queries)
    rows = max(k, BLOCK_NUMBERS // bank.shape[1])
    best: tuple[Tensor, Tensor] | None = None
    for start in range(0, len(bank), rows):
        vectors = _normalised(bank[start : start + rows])
        index: faiss.Index = faiss.IndexFlatIP(vectors.shape[1])
        if device.type == "cuda":
            index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), device.index or 0, index)
        index.add(vectors)
        found = interruptible(partial(index.search, unit_queries, min(k, len(vectors))), check_stop, vectors.size)
        cosines, neighbours = torch.from_numpy(found[0]), torch.from_numpy(found[1]).add_(start)
        if best is None:
            best = cosines, neighbours
        else:
            _merge(best, (cosines, neighbours), check_stop)
        # Before the next block is read.
        del vectors, index
    assert best is not None
    return best


def _normalised(features: Float[Tensor, "n dim"]) -> np.ndarray[Any, Any]:
    vectors = normalize(features.float(), dim=1).cpu().contiguous().numpy()
    if not np.isfinite(vectors).all():
        raise NotFinite("knn: features contain values that are not finite; the encoder has diverged")
    return vectors


def _merge(best: tuple[Tensor, Tensor], more: tuple[Tensor, Tensor], check_stop: Callable[[], None]) -> None:
    """Merge more candidates into the k best neighbours of each query, in place."""
    k = best[0].shape[1]
    for part in torch.split(torch.arange(len(best[0])), MERGED_AT_ONCE):
        check_stop()
        rows = slice(int(part[0]), int(part[-1]) + 1)
        cosines, neighbours = (torch.cat([old[rows], new[rows]], dim=1) for old, new in zip(best, more, strict=True))
        best[0][rows], kept = cosines.topk(k, dim=1)
        best[1][rows] = neighbours.gather(1, kept)


def vote(
    cosines: Float[Tensor, "test k"], labels: Int[Tensor, "test k"], classes: int, temperature: float, shared: float
) -> Float[Tensor, "test classes"]:
    """Return float32 log-probabilities of the weighted vote.

    The weights are scaled to sum to k; ``shared`` extra neighbours are divided evenly among the classes.
    """
    k = cosines.shape[1]
    weights = torch.softmax(cosines.double() / temperature, dim=1) * k
    even = torch.full((len(cosines), classes), shared / classes, dtype=torch.float64)
    return (even.scatter_add_(1, labels, weights) / (k + shared)).log().float()
