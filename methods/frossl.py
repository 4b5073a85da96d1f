"""FroSSL: views agree, and a small Frobenius norm of the embeddings' covariance makes them use all directions.

Recipe: the authors' on CIFAR (https://github.com/OFSkean/FroSSL, scripts/pretrain/cifar/frossl.yaml). A projector of
2048, 2048 and 1024 on 512 features, invariance with weight 1, SimCLR's full colour jitter, crops of at least 0.08 of
the area. Their CIFAR file had this crop until July 2024, nine months after the paper, and their STL-10 file has it
still.

Deviations: AdamW with learning rate 0.002 at batch size 256 and weight decay 5e-4 (practically none: it shrinks weights
by 0.015 % in 300 steps) replaces LARS with learning rate 0.3 for 1000 epochs. The projector keeps its ratio to the
backbone (hidden layers of four times its features, embeddings of twice its features). Images of up to 32 pixels are not
blurred. Embeddings are normalised but not centred over the batch, as in lightly and in the authors' loss for several
views; their first loss, for two views, also centred them. The warm-up is a tenth of the training. Biases and norms have
no weight decay. AdamW was not compared with the published optimiser. On a transformer, AdamW as in ``simclr``.

Without a crop, the views of a grey image differ only in contrast. On the development task of digits (60 epochs,
resnet9_slim, one seed), accuracy in % with kNN / with one label per class and a frozen encoder: untrained network 93.1
/ 47.2; no crop 98.6 / 40.3; crops of at least 0.08 of the area (this recipe) 97.9 / 63.4, with half the colour jitter
96.6 / 63.0. On FashionMNIST (1 epoch, seed 0): untrained 81.4 / 34.6, this recipe 86.4 / 48.0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from lightly.models.modules.heads import VICRegProjectionHead
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.simclr_transform import SimCLRViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.redundancy import FroSSLLoss
from methods.ranges import Multiple, NotNegative, PositiveFraction, Strength
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class FroSSLSettings:
    """What is particular to FroSSL.

    Attributes:
        invariance: Weight of the distance between the views.
        hidden: Width of the projector, in multiples of the backbone's features.
        dim: Length of an embedding, in multiples of the backbone's features.
        min_scale: Smallest crop, as a fraction of the image's area; 1 for the whole image.
        jitter: Strength of the colour jitter.
    """

    invariance: NotNegative = 1.0
    hidden: Multiple = 4
    dim: Multiple = 2
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 1.0


class FroSSL(Method):
    """The backbone, a projector, and the Frobenius-norm loss."""

    title: ClassVar[str] = "FroSSL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2310.02903"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "invariance": Between(0.1, 10.0, log=True),
        "min_scale": CROP,
    }
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
            # At scale 1 the pipeline's first step still crops the image to a random aspect ratio: leave it out.
            view = T.Compose(view.transform.transforms[1:])
        return MultiViewTransform([view, view])

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the norms of both covariances plus the distance between the views."""
        embeddings = [self.projection(self.backbone(view)) for view in batch.views]
        return Loss(in_float32(lambda *z: self.criterion(list(z)), *embeddings), {})
