"""W-MSE: two views agree after their embeddings have been whitened, so that they cannot collapse.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/wmse.yaml). Adam with
learning rate 0.002 at batch size 256 and weight decay 1e-6; a projector with 1024 hidden units on 512 features;
whitening of random sub-batches of 128; crops of at least 0.2 of the area; SimCLR's full colour jitter; no blur.

Deviations: embeddings have 32 dimensions instead of 64, so that a batch of 64 can be whitened too. A batch is divided
into equal sub-batches of at least 128 images, instead of exactly 128; a smaller batch is one sub-batch. The covariance
is shrunk by 1e-4 of its mean variance, so that a degenerate batch has a Cholesky factor. Both views have a gradient, as
in the authors' code and lightly (in solo-learn, only the first has one). The projector's hidden layer keeps its ratio
to the backbone (twice its features). Crops are bilinear. The warm-up is a tenth of the training. Biases and norms have
no weight decay. On a transformer, AdamW as in ``simclr``.

Whitening and distance are lightly's. Its ``WMSELoss`` and ``WMSETransform`` are not used: the loss accepts only batches
that the sub-batch size divides, and the transform always normalises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss.wmse_loss import norm_mse_loss
from lightly.models.modules.heads import BYOLProjectionHead
from lightly.transforms.simclr_transform import SimCLRTransform
from torch import Tensor

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.redundancy import Whitening2d
from methods.ranges import Count, Multiple, PositiveFraction, Strength
from methods.space import CROP, DECAY, RATE, OneOf, Space
from methods.traits import Traits


@dataclass(frozen=True)
class WMSESettings:
    """What is particular to W-MSE.

    Attributes:
        sub_batch: Smallest number of images that are whitened together, if the batch has that many.
        shrinkage: Weight of the identity in the covariance, relative to the embeddings' mean variance.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding; a batch needs at least twice as many images.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    sub_batch: Count = 128
    shrinkage: PositiveFraction = 1e-4
    hidden: Multiple = 2
    dim: Count = 32
    min_scale: PositiveFraction = 0.2
    jitter: Strength = 1.0


class WMSE(Method):
    """The backbone, a projector, whitening, and the distance between unit vectors."""

    title: ClassVar[str] = "W-MSE"
    paper: ClassVar[str] = "https://arxiv.org/abs/2007.06346"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adam", rate=2e-3, weight_decay=1e-6, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "sub_batch": OneOf((64, 128, 256)),
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = WMSESettings

    def __init__(self, backbone: Backbone | None, settings: WMSESettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        if settings.sub_batch < 2 * settings.dim:
            raise ValueError(
                f"W-MSE cannot whiten {settings.dim} dimensions with sub-batches of {settings.sub_batch} images: "
                f"use sub_batch={2 * settings.dim} or more."
            )
        self.projection = BYOLProjectionHead(self.backbone.dim, settings.hidden * self.backbone.dim, settings.dim)
        self.whitening = Whitening2d(settings.dim, settings.shrinkage)

    @classmethod
    def views(cls, settings: WMSESettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = SimCLRTransform(
            cj_strength=settings.jitter, **allowed(traits, settings.min_scale, blur=0.0)
        )
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the distance between the whitened views.

        Raises:
            ValueError: The batch has fewer images than twice the embedding's dimensions.
        """
        images = len(batch.views[0])
        if images < 2 * self.settings.dim:
            raise ValueError(
                f"W-MSE cannot whiten {self.settings.dim} dimensions with a batch of {images} images: "
                f"use a batch of {2 * self.settings.dim} or more, or --set dim={images // 2}."
            )
        first, second = (self.projection(self.backbone(view)) for view in batch.views)
        order = torch.randperm(images, device=first.device)
        return Loss(
            in_float32(lambda a, b: norm_mse_loss(self.whiten(a), self.whiten(b)), first[order], second[order]), {}
        )

    def whiten(self, embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return the embeddings, whitened so that their covariance over each sub-batch is the identity."""
        parts = max(1, len(embeddings) // self.settings.sub_batch)
        return torch.cat([self._whiten(part) for part in torch.tensor_split(embeddings, parts)])

    def _whiten(self, embeddings: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        # The scale makes the shrinkage relative to the variance; whitening removes it again.
        scale = embeddings.detach().var(dim=0).mean().sqrt().clamp_min(torch.finfo(embeddings.dtype).tiny)
        whitened: Tensor = self.whitening(embeddings / scale)
        return whitened
