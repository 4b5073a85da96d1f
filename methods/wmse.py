"""W-MSE: the embeddings of two views agree after each has been whitened, so that they cannot collapse.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/wmse.yaml): Adam, rate 0.002 at 256 images, decay 1e-6,
head 1024 on 512 features, whitening of random sub-batches of 128, crops from 0.2 on, SimCLR's full jitter, no blur.
Deviations: embeddings of 32 instead of 64, so that a batch of 64 can be whitened too; sub-batches are equal parts of any batch, at least 128 images
each, instead of exactly 128, or all of a smaller batch; the covariance is shrunk by 1e-4 of its mean variance, so that a degenerate batch has a
Cholesky factor; both views have a gradient, as in the authors' code and lightly (solo-learn's second has none); the head's hidden layer
keeps its ratio to the backbone (twice its features); bilinear crops; a warm-up of a tenth of the training; biases and norms do not decay.
On a transformer: AdamW as in ``simclr``.

lightly's ``WMSELoss`` takes only batches that its sub-batch divides, and its ``WMSETransform`` always normalises: the whitening and the
distance are lightly's, the division into sub-batches and the views are not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss.wmse_loss import Whitening2d, norm_mse_loss
from lightly.models.modules.heads import BYOLProjectionHead
from lightly.transforms.simclr_transform import SimCLRTransform
from torch import Tensor

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.traits import Traits


@dataclass(frozen=True)
class WMSESettings:
    """What is particular to W-MSE.

    Attributes:
        sub_batch: Images that are whitened together, at least, where the batch has so many.
        shrinkage: Share of the identity in the covariance, in units of the embeddings' mean variance.
        hidden: Hidden units of the head, in multiples of the backbone's features.
        dim: Length of an embedding; a batch has at least twice as many images.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    sub_batch: int = 128
    shrinkage: float = 1e-4
    hidden: int = 2
    dim: int = 32
    min_scale: float = 0.2
    jitter: float = 1.0


class WMSE(Method):
    """The backbone, a projection head, whitening, the distance between unit vectors."""

    title: ClassVar[str] = "W-MSE"
    paper: ClassVar[str] = "https://arxiv.org/abs/2007.06346"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adam", rate=2e-3, weight_decay=1e-6, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = WMSESettings

    def __init__(self, backbone: Backbone | None, settings: WMSESettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        if settings.sub_batch < 2 * settings.dim:
            raise ValueError(
                f"W-MSE cannot whiten {settings.dim} dimensions by sub-batches of {settings.sub_batch} images: "
                f"take sub_batch={2 * settings.dim} or more."
            )
        self.projection = BYOLProjectionHead(self.backbone.dim, settings.hidden * self.backbone.dim, settings.dim)
        self.whitening = Whitening2d(settings.dim, track_running_stats=False, eps=settings.shrinkage)

    @classmethod
    def views(cls, settings: WMSESettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = SimCLRTransform(
            cj_strength=settings.jitter, **allowed(traits, settings.min_scale, blur=0.0)
        )
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the distance between the whitened views; raises ValueError for a batch below twice the dimensions."""
        images = len(batch.views[0])
        if images < 2 * self.settings.dim:
            raise ValueError(
                f"W-MSE cannot whiten {self.settings.dim} dimensions by a batch of {images} images: "
                f"take a batch of {2 * self.settings.dim} or more, or --set dim={images // 2}."
            )
        first, second = (self.projection(self.backbone(view)) for view in batch.views)
        order = torch.randperm(images, device=first.device)
        return Loss(
            in_float32(lambda a, b: norm_mse_loss(self.whiten(a), self.whiten(b)), first[order], second[order]), {}
        )

    def whiten(self, embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return embeddings whose covariance over each sub-batch is the identity."""
        parts = max(1, len(embeddings) // self.settings.sub_batch)
        return torch.cat([self._whiten(part) for part in torch.tensor_split(embeddings, parts)])

    def _whiten(self, embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        # Whitening takes any scale away again; in this one the shrinkage is relative.
        scale = embeddings.detach().var(dim=0).mean().sqrt().clamp_min(torch.finfo(embeddings.dtype).tiny)
        whitened: Tensor = self.whitening(embeddings / scale)
        return whitened
