"""Barlow Twins: make the cross-correlation matrix of two views' embeddings the identity.

Recipe: solo-learn's on CIFAR (https://github.com/vturrisi/solo-learn, scripts/pretrain/cifar/barlow.yaml). The
projector has three layers of 2048 on 512 features, off-diagonal terms have weight 0.0051, and the loss is multiplied by
0.1.

Deviations: AdamW with learning rate 0.002 at batch size 256, weight decay 5e-4 (practically none: it shrinks weights by
0.015 % in 300 steps) and a warm-up over a tenth of the training replaces LARS with learning rate 0.3 for 1000 epochs.
The projector keeps its ratio to the backbone (four times its features). Crops are bilinear (lightly) instead of
bicubic. Images of up to 32 pixels are not blurred. As in solo-learn, biases and norms have no weight decay.

Why AdamW: in short trainings the other two optimisers learn slowly. On development tasks with resnet9_slim and one
seed, accuracy in % with kNN / with one label per class and a frozen encoder: on digits (60 epochs) LARS 82.1 / 54.2,
SGD of lightly's CIFAR-10 benchmark (0.12) 75.2 / 48.1, AdamW 95.2 / 73.3; on FashionMNIST (1 epoch) LARS 79.4 / 40.0,
SGD 79.0 / 42.3, AdamW 82.3 / 46.1.

The correlation is computed in float32 with batch norm's epsilon under the square root. If a dimension is constant over
the batch, a plain standard deviation has an infinite derivative, and one such batch makes all weights NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Interval
from lightly.loss import BarlowTwinsLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Multiple, NotNegative, Positive, PositiveFraction
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class BarlowTwinsSettings:
    """What is particular to Barlow Twins.

    Attributes:
        redundancy: Weight of the off-diagonal terms.
        scale: Factor on the loss.
        dim: Width of the projector and length of an embedding, in multiples of the backbone's features.
        min_scale: Smallest crop, as a fraction of the image's area.
        rotation: Largest rotation, in degrees, applied to half of the views; 0 for none.
    """

    redundancy: NotNegative = 0.0051
    scale: Positive = 0.1
    dim: Multiple = 4
    min_scale: PositiveFraction = 0.08
    rotation: Annotated[float, Interval(ge=0, le=180)] = 0.0


class BarlowTwins(Method):
    """The backbone, a projector, and the cross-correlation loss."""

    title: ClassVar[str] = "Barlow Twins"
    paper: ClassVar[str] = "https://arxiv.org/abs/2103.03230"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "redundancy": Between(0.001, 0.05, log=True),
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = BarlowTwinsSettings

    def __init__(self, backbone: Backbone | None, settings: BarlowTwinsSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        width = settings.dim * self.backbone.dim
        self.projection = BarlowTwinsProjectionHead(self.backbone.dim, width, width)
        self.criterion = BarlowTwinsLoss(settings.redundancy)

    @classmethod
    def views(cls, settings: BarlowTwinsSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two views; the second is solarised at random."""
        arguments = allowed(traits, settings.min_scale)
        if settings.rotation:
            arguments |= {"rr_prob": 0.5, "rr_degrees": settings.rotation}
        pipeline: Callable[[Any], Any] = BYOLTransform(BYOLView1Transform(**arguments), BYOLView2Transform(**arguments))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the scaled cross-correlation loss."""
        first, second = (self.projection(self.backbone(view)) for view in batch.views)
        return Loss(self.settings.scale * in_float32(self.criterion, first, second), {})
