"""LeJEPA: an image's views agree with their mean embedding, and a batch's embeddings become an isotropic Gaussian.

Recipe: the authors' on Imagenette (https://github.com/rbalestr-lab/lejepa, MINIMAL.md). AdamW with learning rate 0.002
at batch size 256; four equally augmented views (crops of at least 0.08 of the area, SimCLR's full colour jitter,
solarisation 0.2); a projector of 2048, 2048 and 16 on 512 features; weight 0.02 of the Gaussian term; 256 random
directions per step.

Deviations: the projector keeps its ratio to the backbone (four times its features). The weight decay is 5e-4
(practically none, as in ``byol``) on a convolutional backbone, and the published 0.05 on a transformer. The warm-up is
a tenth of the training. The learning rate falls on a cosine to zero, not to half its value. Images of up to 32 pixels
are not blurred. Biases and norms have no weight decay. On a transformer, the embedding is computed from the mean of the
patch tokens, not from the class token, and there is no stochastic depth (theirs: 0.1).

lightly's ``LeJEPALoss`` does not accept training without local views, so its two terms are combined here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss.lejepa_loss import SIGReg, lejepa_invariance_loss
from lightly.models.modules.heads import LeJEPAProjectionHead
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.vicreg_transform import VICRegViewTransform
from torch import Tensor

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Count, Fraction, Multiple, PositiveFraction, Strength, Views
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class LeJEPASettings:
    """What is particular to LeJEPA.

    Attributes:
        gaussian: Weight of the Gaussian term; the distance to the mean has one minus this.
        directions: Random directions per step, along which embeddings are compared with the Gaussian.
        view_count: Views per image.
        hidden: Width of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    gaussian: Fraction = 0.02
    directions: Count = 256
    view_count: Views = 4
    hidden: Multiple = 4
    dim: Count = 16
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 1.0


class LeJEPA(Method):
    """The backbone, a projector, the distance to the mean and a test against a Gaussian."""

    title: ClassVar[str] = "LeJEPA"
    paper: ClassVar[str] = "https://arxiv.org/abs/2511.08544"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "gaussian": Between(0.005, 0.2, log=True),
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = LeJEPASettings

    def __init__(self, backbone: Backbone | None, settings: LeJEPASettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.projection = LeJEPAProjectionHead(self.backbone.dim, settings.hidden * self.backbone.dim, settings.dim)
        self.regulariser = SIGReg(num_vectors=settings.directions)

    @classmethod
    def views(cls, settings: LeJEPASettings, traits: Traits) -> Callable[[Any], Any]:
        """Return equally augmented views."""
        jitter: dict[str, Any] = {"cj_sat": 0.8, "cj_strength": settings.jitter, "solarize_prob": 0.2}
        view = VICRegViewTransform(**(jitter | allowed(traits, settings.min_scale)))
        return MultiViewTransform([view] * settings.view_count)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the weighted sum of both terms, and the terms as parts."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        views = embeddings.unflatten(0, (len(batch.views), -1))
        invariance = in_float32(_distance_to_mean, views)
        gaussian = in_float32(self.regulariser, views)
        weight = self.settings.gaussian
        return Loss((1.0 - weight) * invariance + weight * gaussian, {"invariance": invariance, "gaussian": gaussian})


def _distance_to_mean(views: Float[Tensor, "views batch dim"]) -> Tensor:
    distance: Tensor = lejepa_invariance_loss(all_proj=views, global_proj=views)
    return distance
