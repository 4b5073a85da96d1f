"""VICReg: two views agree, every dimension keeps its variance, and no two dimensions are correlated.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/vicreg.yaml). A projector
with three layers of 2048 on 512 features; weights 25, 25 and 1; crops of at least 0.2 of the area; half of SimCLR's
colour jitter; solarisation 0.1; no blur.

Deviations: the variance has weight 50 here, which equals solo-learn's 25: solo-learn sums that term over both views,
while lightly and the authors average it. The projector keeps its ratio to the backbone (four times its features). Crops
are bilinear (lightly) instead of bicubic. AdamW with learning rate 0.002 at batch size 256, weight decay 5e-4
(practically none: it shrinks weights by 0.015 % in 300 steps) and a warm-up over a tenth of the training replaces LARS
with learning rate 0.3 for 1000 epochs. As in solo-learn, biases and norms have no weight decay. On a transformer, AdamW
as in ``simclr``.

Why AdamW: on the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label
per class and a frozen encoder: untrained 93.1 / 47.2; LARS 97.2 / 73.2, AdamW 97.2 / 77.9.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from lightly.models.modules.heads import VICRegProjectionHead
from lightly.transforms.vicreg_transform import VICRegTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.redundancy import VICRegLoss
from methods.ranges import Multiple, NotNegative, PositiveFraction
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class VICRegSettings:
    """What is particular to VICReg.

    Attributes:
        invariance: Weight of the distance between the views.
        variance: Weight of the hinge loss on the standard deviations, averaged over both views.
        covariance: Weight of the squared covariances, summed over both views.
        dim: Width of the projector and length of an embedding, in multiples of the backbone's features.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    invariance: NotNegative = 25.0
    variance: NotNegative = 50.0
    covariance: NotNegative = 1.0
    dim: Multiple = 4
    min_scale: PositiveFraction = 0.2


class VICReg(Method):
    """The backbone, a projector, and a loss of three terms."""

    title: ClassVar[str] = "VICReg"
    paper: ClassVar[str] = "https://arxiv.org/abs/2105.04906"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "variance": Between(5.0, 200.0, log=True),
        "covariance": Between(0.1, 10.0, log=True),
    }
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
