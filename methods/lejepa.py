"""LeJEPA: the embeddings of an image's views meet at their mean, and over the batch they are pushed towards an isotropic Gaussian.

Recipe: the authors' on Imagenette (https://github.com/rbalestr-lab/lejepa, MINIMAL.md): AdamW, rate 0.002 at 256 images, four equal views (crops
from 0.08 on, SimCLR's full jitter, solarisation 0.2), head 2048, 2048 and 16 on 512 features, weight 0.02 of the Gaussian's term, 256
random directions a step.
Deviations: the head keeps its ratio to the backbone (four times its features); decay 5e-4 on a convolutional backbone, the published 0.05 on a
transformer; a warm-up of a tenth of the training; a cosine to zero instead of half the rate; no blur up to 32 pixels; biases and norms do
not decay.

lightly's ``LeJEPALoss`` refuses training without small local views; its two terms are put together here.
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
from methods.traits import Traits


@dataclass(frozen=True)
class LeJEPASettings:
    """What is particular to LeJEPA.

    Attributes:
        gaussian: Weight of the Gaussian's term; the distance to the mean has the rest.
        directions: Random directions a step, along which embeddings are compared with the Gaussian.
        views: Views of an image.
        hidden: Width of the head, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    gaussian: float = 0.02
    directions: int = 256
    views: int = 4
    hidden: int = 4
    dim: int = 16
    min_scale: float = 0.08
    jitter: float = 1.0


class LeJEPA(Method):
    """The backbone, a projection head, the distance to the mean, the test against a Gaussian."""

    title: ClassVar[str] = "LeJEPA"
    paper: ClassVar[str] = "https://arxiv.org/abs/2511.08544"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
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
        return MultiViewTransform([view] * settings.views)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the weighted sum of both terms, which are its parts."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        views = embeddings.unflatten(0, (len(batch.views), -1))
        invariance = in_float32(_distance_to_mean, views)
        gaussian = in_float32(self.regulariser, views)
        weight = self.settings.gaussian
        return Loss((1.0 - weight) * invariance + weight * gaussian, {"invariance": invariance, "gaussian": gaussian})


def _distance_to_mean(views: Float[Tensor, "views batch dim"]) -> Tensor:
    distance: Tensor = lejepa_invariance_loss(all_proj=views, global_proj=views)
    return distance
