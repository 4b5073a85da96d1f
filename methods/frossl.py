"""FroSSL: the views of an image agree, and the Frobenius norm of the embeddings' covariance is small, so that all directions are used.

Recipe: the authors' on CIFAR (https://github.com/OFSkean/FroSSL, scripts/pretrain/cifar/frossl.yaml): head of 2048, 2048 and 1024 on 512 features,
invariance with weight 1, SimCLR's full jitter, no crop.
Deviations: AdamW, rate 0.002 at 256 images, decay 5e-4, in the place of LARS with rate 0.3 for 1000 epochs; the head keeps its ratio to the backbone
(four times its features, and twice); no blur up to 32 pixels; a warm-up of a tenth of the training; biases and norms do not decay.
Without a crop grey images differ between views in contrast alone: on the development task of digits (60 epochs, resnet9_slim, one seed; kNN / one
label a class, frozen) the untrained network has 93.1 / 47.2, this recipe 98.6 / 40.3, crops from 0.08 on with half the jitter 96.6 / 63.0.
AdamW was not compared with the published optimiser.
On a transformer: AdamW as in ``simclr``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from lightly.loss import FroSSLLoss
from lightly.models.modules.heads import VICRegProjectionHead
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.simclr_transform import SimCLRViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.traits import Traits


@dataclass(frozen=True)
class FroSSLSettings:
    """What is particular to FroSSL.

    Attributes:
        invariance: Weight of the distance between the views.
        hidden: Width of the head, in multiples of the backbone's features.
        dim: Length of an embedding, likewise.
        min_scale: Smallest crop, as a fraction of the image's area; 1 for the whole image.
        jitter: Strength of the colour jitter.
    """

    invariance: float = 1.0
    hidden: int = 4
    dim: int = 2
    min_scale: float = 1.0
    jitter: float = 1.0


class FroSSL(Method):
    """The backbone, a projection head, the Frobenius norm."""

    title: ClassVar[str] = "FroSSL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2310.02903"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = FroSSLSettings

    def __init__(self, backbone: Backbone | None, settings: FroSSLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        self.projection = VICRegProjectionHead(features, settings.hidden * features, settings.dim * features)
        self.criterion = FroSSLLoss(settings.invariance)

    @classmethod
    def views(cls, settings: FroSSLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        view = SimCLRViewTransform(cj_strength=settings.jitter, **allowed(traits, settings.min_scale))
        if settings.min_scale == 1.0:
            # The pipeline's first step still draws an aspect ratio and cuts the image to it.
            view = T.Compose(view.transform.transforms[1:])
        return MultiViewTransform([view, view])

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the norms of both covariances and the distance between the views."""
        embeddings = [self.projection(self.backbone(view)) for view in batch.views]
        return Loss(in_float32(lambda *z: self.criterion(list(z)), *embeddings), {})
