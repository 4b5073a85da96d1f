"""VICReg: the embeddings of two views agree, every dimension keeps its variance, no two dimensions covary.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/vicreg.yaml): a head of three layers of 2048 on 512
features, weights 25, 25 and 1, crops from 0.2 on, half the jitter of SimCLR, solarisation 0.1, no blur.
Deviations: the variance's weight is 50 here, which is solo-learn's 25: it sums that term over both views, lightly and the authors take their
mean; the head keeps its ratio to the backbone (four times its features); bilinear crops (lightly) instead of bicubic; AdamW, rate 0.002 at 256
images, decay 5e-4, a warm-up of a tenth of the training, in the place of LARS with rate 0.3 for 1000 epochs; biases and norms do not decay, as
in solo-learn.
Why AdamW: on the development task of digits (60 epochs, resnet9_slim, seed 0; kNN / one label a class, frozen; untrained 93.1 / 47.2)
LARS has 97.2 / 73.2, AdamW 97.2 / 77.9.
On a transformer: AdamW as in ``simclr``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from lightly.loss import VICRegLoss
from lightly.models.modules.heads import VICRegProjectionHead
from lightly.transforms.vicreg_transform import VICRegTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.traits import Traits


@dataclass(frozen=True)
class VICRegSettings:
    """What is particular to VICReg.

    Attributes:
        invariance: Weight of the distance between the views.
        variance: Weight of the hinge on the deviations, the mean over both views.
        covariance: Weight of the squared covariances, the sum over both views.
        dim: Width of the head and length of an embedding, in multiples of the backbone's features.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    invariance: float = 25.0
    variance: float = 50.0
    covariance: float = 1.0
    dim: int = 4
    min_scale: float = 0.2


class VICReg(Method):
    """The backbone, a projection head, three terms."""

    title: ClassVar[str] = "VICReg"
    paper: ClassVar[str] = "https://arxiv.org/abs/2105.04906"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = VICRegSettings

    def __init__(self, backbone: Backbone | None, settings: VICRegSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        width = settings.dim * self.backbone.dim
        self.projection = VICRegProjectionHead(self.backbone.dim, width, width)
        self.criterion = VICRegLoss(settings.invariance, settings.variance, settings.covariance)

    @classmethod
    def views(cls, settings: VICRegSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = VICRegTransform(**allowed(traits, settings.min_scale, blur=0.0))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the weighted sum of the three terms."""
        first, second = (self.projection(self.backbone(view)) for view in batch.views)
        return Loss(in_float32(self.criterion, first, second), {})
