"""VISReg: views agree with their mean embedding; centre, scale and shape of all embeddings approach a Gaussian's.

Recipe: the authors' on Imagenette (https://github.com/HaiyuWu/visreg, imagenette.yaml). Four equally augmented views
and no local ones; a projector of 2048, 2048 and 128 on 512 features; weight 0.6 of the three regularisers; gradients
clipped at norm 1.

Deviations: AdamW with learning rate 0.002 at batch size 256 instead of 0.001 at 64. The weight decay is 5e-4
(practically none, as in ``byol``) on a convolutional backbone, and the published 0.05 on a transformer. There are 1024
random directions per step instead of 4096, whose sorting took longer than a small backbone. The projector keeps its
ratio to the backbone (four times its features). The views are those of lightly's VICReg with full colour jitter. Images
of up to 32 pixels are not blurred. The warm-up is a tenth of the training. Biases and norms have no weight decay. On a
transformer, the embedding is computed from the mean of the patch tokens, not from the class token, and there is no
stochastic depth (theirs: 0.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightly.loss.visreg_loss import VISRegLoss
from lightly.models.modules.heads import LeJEPAProjectionHead
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.vicreg_transform import VICRegViewTransform

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Count, Fraction, Multiple, PositiveFraction, Strength, Views
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class VISRegSettings:
    """What is particular to VISReg.

    Attributes:
        regularisation: Weight of centre, scale and shape; the distance to the mean has one minus this.
        directions: Random directions per step, along which embeddings are compared with the Gaussian.
        view_count: Views per image.
        hidden: Width of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    regularisation: Fraction = 0.6
    directions: Count = 1024
    view_count: Views = 4
    hidden: Multiple = 4
    dim: Count = 128
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 1.0


class VISReg(Method):
    """The backbone, a projector, the distance to the mean and three regularisers."""

    title: ClassVar[str] = "VISReg"
    paper: ClassVar[str] = "https://arxiv.org/abs/2606.02572"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, clip=1.0, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, clip=1.0, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "regularisation": Between(0.2, 0.95),
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = VISRegSettings

    def __init__(self, backbone: Backbone | None, settings: VISRegSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.projection = LeJEPAProjectionHead(self.backbone.dim, settings.hidden * self.backbone.dim, settings.dim)
        self.criterion = VISRegLoss(settings.regularisation, settings.directions)

    @classmethod
    def views(cls, settings: VISRegSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return equally augmented views."""
        jitter: dict[str, Any] = {"cj_sat": 0.8, "cj_strength": settings.jitter, "solarize_prob": 0.2}
        view = VICRegViewTransform(**(jitter | allowed(traits, settings.min_scale)))
        return MultiViewTransform([view] * settings.view_count)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the weighted sum of the distance to the mean and the three regularisers."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        views = embeddings.unflatten(0, (len(batch.views), -1))
        return Loss(in_float32(lambda z: self.criterion(local_proj=z[:0], global_proj=z), views), {})
