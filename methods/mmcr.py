"""MMCR: a large nuclear norm of the images' mean embeddings makes views agree and images spread over all directions.

Recipe: the authors' on CIFAR (https://github.com/ThomasYerxa/mmcr). Adam with learning rate 0.001 and weight decay
1e-6; a projector of 512 and 128 on 512 features; crops of at least 0.08 of the area; half of SimCLR's colour jitter.
The loss is only the nuclear norm of the means, and there is no teacher.

Deviations: there are 2 views and a batch of 256 instead of 40 views of 32 images. The learning rate is for 256 images
instead of 32 × 40; it has a warm-up of a tenth of the training and then falls on a cosine. The projector's hidden layer
keeps its ratio to the backbone (as wide as its features). Images of more than 32 pixels are blurred (theirs on CIFAR
and STL-10: none). Biases and norms have no weight decay. On a transformer, AdamW as in ``simclr``.

lightly's ``MMCRLoss`` is not used: it does not normalise the embeddings, so that the loss is unbounded below, and it
factorises the views of each image even if the weight of that term is zero, as here. The loss is computed in float32,
because torch cannot factorise matrices in lower precision.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.models.modules.heads import MMCRProjectionHead
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.simclr_transform import SimCLRViewTransform
from torch import Tensor
from torch.nn.functional import normalize

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Count, Multiple, PositiveFraction, Strength, Views
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class MMCRSettings:
    """What is particular to MMCR.

    Attributes:
        view_count: Views per image.
        hidden: Hidden units of the projector, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    view_count: Views = 2
    hidden: Multiple = 1
    dim: Count = 128
    min_scale: PositiveFraction = 0.08
    jitter: Strength = 0.5


class MMCR(Method):
    """The backbone, a projector, the nuclear norm of the images' mean embeddings."""

    title: ClassVar[str] = "MMCR"
    paper: ClassVar[str] = "https://arxiv.org/abs/2303.03307"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adam", rate=1e-3, weight_decay=1e-6, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "min_scale": CROP,
        "jitter": Between(0.25, 1.0),
    }
    Settings: ClassVar[type[Any]] = MMCRSettings

    def __init__(self, backbone: Backbone | None, settings: MMCRSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        hidden = settings.hidden * self.backbone.dim
        self.projection = MMCRProjectionHead(self.backbone.dim, hidden, settings.dim, num_layers=1)

    @classmethod
    def views(cls, settings: MMCRSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return equally augmented views."""
        view = SimCLRViewTransform(cj_strength=settings.jitter, **allowed(traits, settings.min_scale))
        return MultiViewTransform([view] * settings.view_count)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return minus the nuclear norm of the images' mean embeddings."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        return Loss(in_float32(capacity_loss, *embeddings.chunk(len(batch.views))), {})


def capacity_loss(*views: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
    """Return minus the sum of the singular values of the images' mean unit vectors [Yerxa 2023, equation 5]."""
    means = torch.stack([normalize(view, dim=1) for view in views]).mean(dim=0)
    loss: Tensor = -torch.linalg.svdvals(means).sum()
    return loss
