"""``knn``: a weighted vote of the nearest training features."""

from dataclasses import dataclass

import faiss
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from protocols.base import EvaluationProtocol, Predictions, Task


@dataclass(frozen=True)
class Knn(EvaluationProtocol):
    """Nearest neighbours by cosine, each voting with exp(cos / T).

    The vote of DINO (arXiv:2104.14294, appendix F) and InstDisc (arXiv:1805.01978, section 3.4), over an exact search. k is never above the
    number of training images.

    Attributes:
        k: Neighbours of the main figure.
        temperature: T.
        other_k: Recorded beside it, from the same search.
    """

    k: int
    temperature: float
    other_k: tuple[int, ...] = ()

    def predict(self, task: Task) -> Predictions:
        """Return the vote's log-probabilities, and those of every other k as variants.

        Raises:
            ValueError: Features are not finite.
        """
        count = len(task.train_features)
        most = min(max(self.k, *self.other_k, 1), count)
        cosines, neighbours = nearest(task.train_features, task.test_features, most, task.device)
        labels = task.train_labels.cpu()[neighbours]

        def scores(k: int) -> Tensor:
            return vote(cosines[:, :k], labels[:, :k], task.classes, self.temperature)

        return Predictions(
            scores=[scores(min(self.k, count))],
            variants={f"k={k}": scores(min(k, count)) for k in self.other_k},
            choices={"k": min(self.k, count), "images": count},
        )


def nearest(
    bank: Float[Tensor, "train dim"], queries: Float[Tensor, "test dim"], k: int, device: torch.device
) -> tuple[Float[Tensor, "test k"], Int[Tensor, "test k"]]:
    """Return the k largest cosines, descending, and whose they are; exact, on the GPU where the device is one.

    A feature vector of norm zero has cosine 0 with every other.

    Raises:
        ValueError: Features are not finite.
    """
    vectors, wanted = (normalize(x.float(), dim=1).cpu().contiguous().numpy() for x in (bank, queries))
    if not (np.isfinite(vectors).all() and np.isfinite(wanted).all()):
        raise ValueError("knn: features hold values that are not finite; the encoder has diverged")
    index: faiss.Index = faiss.IndexFlatIP(vectors.shape[1])
    if device.type == "cuda" and getattr(faiss, "get_num_gpus", int)() > 0:
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), device.index or 0, index)
    index.add(vectors)
    cosines, neighbours = index.search(wanted, k)
    return torch.from_numpy(cosines), torch.from_numpy(neighbours)


def vote(
    cosines: Float[Tensor, "test k"], labels: Int[Tensor, "test k"], classes: int, temperature: float
) -> Float[Tensor, "test classes"]:
    """Return float32 log-probabilities of the weighted vote.

    The weights are scaled to sum to k, and one more neighbour is shared by all classes, so that a class without a vote has a finite log-loss;
    the order of the classes stays.
    """
    k = cosines.shape[1]
    weights = torch.softmax(cosines.double() / temperature, dim=1) * k
    votes = torch.full((len(cosines), classes), 1 / classes, dtype=torch.float64).scatter_add_(1, labels, weights)
    return (votes / (k + 1)).log().float()
