"""EMP-SSL: many fixed-size patches of an image agree with their mean embedding, and a batch fills a large volume.

Recipe: the authors' on CIFAR (https://github.com/tsb0601/EMP-SSL, main.py). Patches of a quarter of the image; colour
jitter 0.4, 0.4, 0.4 and 0.2, greyscale 0.2, solarisation 0.1; a projector of 4096, 4096 and 1024 on 512 features;
normalised embeddings; coding rate with distortion 0.2, similarity with weight 200.

Deviations: there are 8 patches instead of 20 to 200, because 20 are ten times as many images as in a method with two
views. The evaluated features are the backbone's on the whole image, as for every method here, not the projector's first
layer averaged over patches. The network has seen only enlarged quarters of images, so this costs accuracy. The
projector keeps its ratio to the backbone (hidden layers of eight times its features, embeddings of twice its features).
Images of up to 32 pixels are not blurred. AdamW with learning rate 0.002 at batch size 256, weight decay 5e-4
(practically none: it shrinks weights by 0.015 % in 300 steps) and a warm-up over a tenth of the training replaces SGD
with LARC and learning rate 0.3 at batch size 100. Biases and norms have no weight decay. AdamW was not compared with
the published optimiser. On a transformer, AdamW as in ``simclr``.

The embeddings are normalised once, before both terms, as in the authors' code (model/model.py). lightly's
``EMPSSLLoss`` is not used: it adds the coding rate, which the authors subtract, so that minimising it collapses the
embeddings; and it does not normalise them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss.emp_ssl_loss import invariance_loss, tcr_loss
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T
from lightly.transforms.vicreg_transform import VICRegViewTransform
from torch import Tensor
from torch.nn.functional import normalize

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.ranges import Multiple, NotNegative, Positive, PositiveFraction, Views
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class EMPSSLSettings:
    """What is particular to EMP-SSL.

    Attributes:
        patches: Number of patches per image.
        scale: Area of a patch, as a fraction of the image's.
        similarity: Weight of the similarity to the mean; the coding rate has weight 1.
        eps: Distortion of the coding rate.
        hidden: Width of the projector, in multiples of the backbone's features.
        dim: Length of an embedding, in multiples of the backbone's features.
    """

    patches: Views = 8
    scale: PositiveFraction = 0.25
    similarity: NotNegative = 200.0
    eps: Positive = 0.2
    hidden: Multiple = 8
    dim: Multiple = 2


class EMPSSL(Method):
    """The backbone, a projector, similarity and coding rate."""

    title: ClassVar[str] = "EMP-SSL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2304.03977"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "similarity": Between(20.0, 2000.0, log=True),
        "scale": Between(0.1, 0.6),
    }
    Settings: ClassVar[type[Any]] = EMPSSLSettings

    def __init__(self, backbone: Backbone | None, settings: EMPSSLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        features = self.backbone.dim
        self.projection = BarlowTwinsProjectionHead(features, settings.hidden * features, settings.dim * features)

    @classmethod
    def views(cls, settings: EMPSSLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return square patches of a fixed size, resized to the image's size."""
        jitter: dict[str, Any] = {"cj_sat": 0.8, "cj_hue": 0.4}
        steps = VICRegViewTransform(**(jitter | allowed(traits, settings.scale, blur=0.1))).transform.transforms
        # lightly's crops vary in size and aspect ratio: replace the crop and keep the other steps.
        crop = T.RandomResizedCrop(traits.size, scale=(settings.scale, settings.scale), ratio=(1.0, 1.0))
        return MultiViewTransform([T.Compose([crop, *steps[1:]])] * settings.patches)

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return minus the coding rate minus the weighted similarity, and both as parts."""
        embeddings = self.projection(self.backbone(torch.cat(batch.views)))
        patches = normalize(embeddings.float().unflatten(0, (len(batch.views), -1)), dim=2)
        rate = in_float32(self.coding_rate, patches)
        similarity = -in_float32(invariance_loss, patches)
        return Loss(-rate - self.settings.similarity * similarity, {"coding_rate": rate, "similarity": similarity})

    def coding_rate(self, patches: Float[Tensor, "patches batch dim"]) -> Float[Tensor, ""]:
        """Return the coding rate of unit vectors, averaged over patches [Tong 2023, equation 2]."""
        # One patch at a time: torch's batched LU on a CPU with two or more threads gives wrong results (2.15, oneMKL).
        rates = [tcr_loss(patch[None], eps=self.settings.eps) for patch in patches]
        return torch.stack(rates).mean()
