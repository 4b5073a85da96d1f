"""Variational autoencoder: reconstruct an image from a sampled code whose distribution is close to a standard normal.

Recipe: lightning-bolts ``basic_vae`` on CIFAR-10 (https://github.com/Lightning-Universe/lightning-bolts). Adam with a
constant learning rate of 1e-4 at batch size 256, no weight decay, a code of 256 dimensions, mean squared error over
normalised pixels plus 0.1 times the divergence, averaged over the code's dimensions.

Deviations: the divergence is computed in closed form (Kingma and Welling 2013, appendix B), not from one sample. The
variance is a softplus instead of an exponential, because an exponential and its gradient overflow after one bad step.
The decoder is the small one of ``parts/decoder.py``, which fits any backbone and image size; that of bolts mirrors its
ResNet-18.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Recipe, input_of
from methods.parts.decoder import Decoder
from methods.parts.plain import plain_view
from methods.parts.precision import in_float32
from methods.ranges import Count, NotNegative
from methods.space import DECAY_FROM_NONE, Between, OneOf, Space
from methods.traits import Traits

LEAST_VARIANCE = 1e-6
"""Smallest variance; keeps its logarithm finite."""


@dataclass(frozen=True)
class VAESettings:
    """What is particular to the VAE.

    Attributes:
        dim: Length of the code.
        layer: What is evaluated: the backbone's features or the latent code (its mean).
        divergence: Weight of the divergence.
    """

    dim: Count = 256
    layer: Literal["backbone", "latent"] = "backbone"
    divergence: NotNegative = 0.1


class VAE(Method):
    """The backbone, linear layers for mean and variance of the code, and a convolutional decoder."""

    title: ClassVar[str] = "Variational autoencoder"
    paper: ClassVar[str] = "https://arxiv.org/abs/1312.6114"
    family: ClassVar[Family] = "reconstruction"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adam", rate=1e-4, schedule="constant")
    space: ClassVar[Space] = {
        "recipe.rate": Between(1e-5, 1e-2, log=True),
        "recipe.weight_decay": DECAY_FROM_NONE,
        "divergence": Between(0.001, 4.0, log=True),
        "dim": OneOf((64, 128, 256, 512)),
    }
    Settings: ClassVar[type[Any]] = VAESettings

    def __init__(self, backbone: Backbone | None, settings: VAESettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.mean = nn.Linear(self.backbone.dim, settings.dim)
        self.spread = nn.Linear(self.backbone.dim, settings.dim)
        self.decoder = Decoder(settings.dim, self.backbone.dim, traits.size, traits.channels)

    @classmethod
    def views(cls, settings: VAESettings, traits: Traits) -> Callable[[Any], Any]:
        """Return the whole image."""
        return plain_view()

    def reconstruct(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch channels size size"]:
        """Return reconstructions of prepared images from the means of their codes."""
        reconstructions: Tensor = self.decoder(self.mean(self.backbone(images)))
        return reconstructions

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the reconstruction error plus the weighted divergence, and both as parts."""
        images = batch.views[0]
        features = self.backbone(images)
        mean = self.mean(features).float()
        variance = variance_of(self.spread(features))
        noise = torch.randn(mean.shape, generator=batch.generator, device=mean.device)
        reconstruction = in_float32(mse_loss, self.decoder(mean + variance.sqrt() * noise), images)
        kl = in_float32(divergence, mean, variance)
        return Loss(
            reconstruction + self.settings.divergence * kl, {"reconstruction": reconstruction, "divergence": kl}
        )

    def encoder(self) -> Encoder:
        """Return the backbone, followed by the code layer if ``layer`` is ``latent``."""
        return Encoder(
            self.backbone, input_of(self.traits), code=self.mean if self.settings.layer == "latent" else None
        )


def variance_of(spread: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
    """Return float32 variances from a linear layer's output; positive, with a finite logarithm, for any input."""
    return softplus(spread.float()) + LEAST_VARIANCE


def divergence(mean: Float[Tensor, "batch dim"], variance: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
    """Return KL(N(mean, variance) ‖ N(0, 1)) in nats, averaged over the batch and the dimensions."""
    return 0.5 * (mean.square() + variance - variance.log() - 1.0).mean()
