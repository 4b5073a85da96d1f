"""``rankme``, ``alignment``, ``uniformity``, ``feature_std``: what features show without any label."""

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from protocols.base import EncoderLike, EvaluationProtocol, Predictions, Task
from protocols.parts.chunks import images_at_once
from protocols.parts.subsets import fixed_subset

Figure = Literal["rankme", "alignment", "uniformity", "feature_std"]


@dataclass(frozen=True)
class LabelFree(EvaluationProtocol):
    """One figure on some images of ``train``, the same for every run.

    Attributes:
        figure: Which.
        images: At most so many.
    """

    figure: Figure
    images: int

    def predict(self, task: Task) -> Predictions:
        """Return the figure in ``metrics``.

        Raises:
            ValueError: Features are not finite; ``alignment`` without a network.
        """
        some = fixed_subset(len(task.train_images), self.images).sort().values
        features = task.train_features[some].to(task.device).double()
        if not torch.isfinite(features).all():
            raise ValueError(f"{self.figure}: features hold values that are not finite; the encoder has diverged")
        if self.figure == "alignment":
            value = alignment(*two_views(task, some))
        else:
            value = {"rankme": rankme, "uniformity": uniformity, "feature_std": feature_std}[self.figure](features)
        return Predictions(metrics={self.figure: value}, choices={"images": len(some)})


def rankme(features: Float[Tensor, "n dim"]) -> float:
    """Return the exponential of the entropy of the singular values, uncentred, ε = 1e-7 (RankMe, Garrido 2023, arXiv:2210.02885, equation 1)."""
    wide = features.double()
    gram = wide.T @ wide if wide.shape[1] <= len(wide) else wide @ wide.T
    singular = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
    share = singular / singular.sum().clamp_min(torch.finfo(torch.float64).tiny) + 1e-7
    return math.exp(float(-(share * share.log()).sum()))


def alignment(first: Float[Tensor, "n dim"], second: Float[Tensor, "n dim"]) -> float:
    """Return the mean squared distance of L2-normalised features of two views (Wang & Isola 2020, arXiv:2005.10242, section 4.1.1)."""
    return float((normalize(first.double(), dim=1) - normalize(second.double(), dim=1)).square().sum(dim=1).mean())


def uniformity(features: Float[Tensor, "n dim"], t: float = 2.0) -> float:
    """Return log E exp(−t·‖x − y‖²) over pairs of different images, L2-normalised (Wang & Isola 2020, section 4.1.2)."""
    unit = normalize(features.double(), dim=1)
    total, count = 0.0, len(unit)
    for start in range(0, count, 1024):
        block = unit[start : start + 1024]
        distances = block.square().sum(dim=1)[:, None] + unit.square().sum(dim=1) - 2 * block @ unit.T
        total += float(distances.clamp_min(0).mul(-t).exp().sum())
    return math.log((total - count) / (count * (count - 1)))


def feature_std(features: Float[Tensor, "n dim"]) -> float:
    """Return √D times the mean over dimensions of the deviation of L2-normalised features (SimSiam, arXiv:2011.10566, section 4.1): 1 where isotropic."""
    unit = normalize(features.double(), dim=1)
    return math.sqrt(unit.shape[1]) * float(unit.std(dim=0, correction=0).mean())


@torch.no_grad()
def two_views(task: Task, some: Int[Tensor, " some"]) -> tuple[Float[Tensor, "some dim"], Float[Tensor, "some dim"]]:
    """Return the features of two views of each image, by the augmentation that is the same for every method."""
    if task.encoder is None:
        raise ValueError("alignment runs the network on two views and this encoder has none; leave it out")
    encoder = task.encoder()
    generator = task.generator("alignment")
    first: list[Tensor] = []
    second: list[Tensor] = []
    batch = images_at_once(256, task.train_images, task)
    for part in torch.split(some, batch):
        images = task.train_images[part].to(task.device)
        for kept, view in zip((first, second), task.augment(images, "views", generator), strict=True):
            kept.append(cast(EncoderLike, encoder).features(task.prepare(view)))
    return torch.cat(first), torch.cat(second)
