"""``rankme``, ``alignment``, ``uniformity``, ``feature_std``: measures of the features that need no labels."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from protocols.base import EncoderLike, EvaluationProtocol, NotFinite, Predictions, Task
from protocols.parts.chunks import images_at_once
from protocols.parts.interruptible import interruptible
from protocols.parts.rows import Rows, blocks_of, column_gram, gram, moments, rows_of
from protocols.parts.subsets import fixed_subset
from protocols.ranges import Count

Figure = Literal["rankme", "alignment", "uniformity", "feature_std"]


@dataclass(frozen=True)
class LabelFree(EvaluationProtocol):
    """One measure on a fixed subset of ``train``, the same for every run.

    Attributes:
        figure: Name of the measure.
        images: Largest number of images.
    """

    figure: Figure
    images: Annotated[Count, Ge(2)]

    def predict(self, task: Task) -> Predictions:
        """Return the measure in ``metrics``.

        Raises:
            ValueError: Features are not finite, or ``alignment`` is asked of an encoder without a network.
        """
        chosen = fixed_subset(len(task.train_images), self.images).sort().values
        features = rows_of(task.train_features, chosen, task.device, task.check_stop)
        if isinstance(features, Tensor):
            features = features.double()
        if not all(bool(torch.isfinite(block).all()) for block in blocks_of(features)):
            raise NotFinite(f"{self.figure}: features contain values that are not finite; the encoder has diverged")
        if self.figure == "alignment":
            value = alignment(*two_views(task, chosen))
        else:
            value = self._measured(features, task)
        return Predictions(metrics={self.figure: value}, choices={"images": len(chosen)})

    def _measured(self, features: Tensor | Rows, task: Task) -> float:
        if isinstance(features, Tensor):
            measure = {"rankme": rankme, "uniformity": uniformity, "feature_std": feature_std}[self.figure]
            return interruptible(lambda: measure(features), task.check_stop, features.numel())
        if self.figure == "feature_std":
            _, deviation = moments(features.then(lambda rows: normalize(rows.double(), dim=1), features.shape[1]))
            return math.sqrt(len(deviation)) * float(deviation.mean())
        if self.figure == "rankme" and features.shape[1] <= len(features):
            products = column_gram(features)
        else:
            products = gram(features, torch.zeros((), dtype=torch.float64, device=features.device))
        measure_of = rankme_of if self.figure == "rankme" else uniformity_of
        return interruptible(lambda: measure_of(products), task.check_stop, products.numel())


def rankme(features: Float[Tensor, "n dim"]) -> float:
    """Return exp(entropy of the singular values), uncentred, with ε = 1e-7 (RankMe, Garrido 2023, arXiv:2210.02885, equation 1)."""
    wide = features.double()
    return rankme_of(wide.T @ wide if wide.shape[1] <= len(wide) else wide @ wide.T)


def rankme_of(products: Float[Tensor, "m m"]) -> float:
    """Return RankMe from the inner products of all pairs of rows, or of all pairs of columns."""
    singular = torch.linalg.eigvalsh(products).clamp_min(0).sqrt()
    share = singular / singular.sum().clamp_min(torch.finfo(torch.float64).tiny) + 1e-7
    return math.exp(float(-(share * share.log()).sum()))


def alignment(first: Float[Tensor, "n dim"], second: Float[Tensor, "n dim"]) -> float:
    """Return the mean squared distance between L2-normalised features of two views (Wang & Isola 2020, arXiv:2005.10242, section 4.1.1)."""
    return float((normalize(first.double(), dim=1) - normalize(second.double(), dim=1)).square().sum(dim=1).mean())


def uniformity(features: Float[Tensor, "n dim"], t: float = 2.0) -> float:
    """Return log E exp(−t·‖x − y‖²) over pairs of different L2-normalised features (Wang & Isola 2020, section 4.1.2)."""
    unit = normalize(features.double(), dim=1)
    total, count = torch.zeros_like(unit[0, 0]), len(unit)
    for start in range(0, count, 1024):
        block = unit[start : start + 1024]
        distances = block.square().sum(dim=1)[:, None] + unit.square().sum(dim=1) - 2 * block @ unit.T
        total += distances.clamp_min(0).mul(-t).exp().sum()
    return math.log((float(total) - count) / (count * (count - 1)))


def uniformity_of(products: Float[Tensor, "n n"], t: float = 2.0) -> float:
    """Return the same from the inner products of all pairs of features."""
    lengths = products.diagonal().sqrt().clamp_min(torch.finfo(torch.float64).tiny)
    cosines = products / lengths / lengths[:, None]
    squares, count = cosines.diagonal(), len(cosines)
    total = float((squares + squares[:, None] - 2 * cosines).clamp_min(0).mul(-t).exp().sum())
    return math.log((total - count) / (count * (count - 1)))


def feature_std(features: Float[Tensor, "n dim"]) -> float:
    """Return √D times the standard deviation of L2-normalised features, averaged over the D dimensions.

    It is 1 for isotropic features (SimSiam, arXiv:2011.10566, section 4.1).
    """
    unit = normalize(features.double(), dim=1)
    return math.sqrt(unit.shape[1]) * float(unit.std(dim=0, correction=0).mean())


@torch.no_grad()
def two_views(
    task: Task, chosen: Int[Tensor, " chosen"]
) -> tuple[Float[Tensor, "chosen dim"], Float[Tensor, "chosen dim"]]:
    """Return the features of two views of each chosen image, made by the augmentation that is the same for every method."""
    if task.encoder is None:
        raise ValueError("alignment runs the network on two views, but this encoder has none; leave this protocol out")
    encoder = task.encoder()
    generator = task.generator("alignment")
    first: list[Tensor] = []
    second: list[Tensor] = []
    batch = images_at_once(256, task.train_images, task)
    for part in torch.split(chosen, batch):
        task.check_stop()
        images = task.train_images[part].to(task.device)
        for kept, view in zip((first, second), task.augment(images, "views", generator), strict=True):
            kept.append(cast(EncoderLike, encoder).features(task.prepare(view)))
    return torch.cat(first), torch.cat(second)
