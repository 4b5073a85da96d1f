"""Autoencoder: reconstruct the image from a short code.

Recipe: lightning-bolts ``basic_ae`` on CIFAR-10 (https://github.com/Lightning-Universe/lightning-bolts). Adam with a
constant learning rate of 1e-4 at batch size 256, no weight decay, a code of length 256, and the mean squared error over
normalised pixels.

Deviation: the decoder is the small one of ``parts/decoder.py``, which fits any backbone and image size; bolts mirrors
its ResNet-18.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Recipe, input_of
from methods.parts.decoder import Decoder, MirroredDecoder
from methods.parts.plain import plain_view
from methods.parts.precision import in_float32
from methods.ranges import Count
from methods.space import DECAY_FROM_NONE, Between, OneOf, Space
from methods.traits import Traits


@dataclass(frozen=True)
class AutoencoderSettings:
    """What is particular to the autoencoder.

    Attributes:
        dim: Length of the code.
        layer: Features to evaluate: the backbone's or the latent code.
        decoder: Convolutions for any backbone, or the layers of a multilayer perceptron reversed (much faster).
    """

    dim: Count = 256
    layer: Literal["backbone", "latent"] = "backbone"
    decoder: Literal["convolutional", "mirrored"] = "convolutional"


class Autoencoder(Method):
    """The backbone, a linear layer to the code, and a decoder."""

    title: ClassVar[str] = "Autoencoder"
    paper: ClassVar[str] = "https://doi.org/10.1126/science.1127647"
    family: ClassVar[Family] = "reconstruction"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="adam", rate=1e-4, schedule="constant")
    space: ClassVar[Space] = {
        "recipe.rate": Between(1e-5, 1e-2, log=True),
        "recipe.weight_decay": DECAY_FROM_NONE,
        "recipe.schedule": OneOf(("constant", "cosine")),
        "dim": OneOf((64, 128, 256, 512)),
    }
    Settings: ClassVar[type[Any]] = AutoencoderSettings

    def __init__(self, backbone: Backbone | None, settings: AutoencoderSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.code = nn.Linear(self.backbone.dim, settings.dim)
        self.decoder = (
            MirroredDecoder(settings.dim, self.backbone, traits.size, traits.channels)
            if settings.decoder == "mirrored"
            else Decoder(settings.dim, self.backbone.dim, traits.size, traits.channels)
        )

    @classmethod
    def views(cls, settings: AutoencoderSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return the whole image."""
        return plain_view()

    def reconstruct(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch channels size size"]:
        """Return reconstructions of prepared images."""
        reconstructions: Tensor = self.decoder(self.code(self.backbone(images)))
        return reconstructions

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the mean squared error of the reconstruction."""
        images = batch.views[0]
        return Loss(in_float32(mse_loss, self.reconstruct(images), images), {})

    def encoder(self) -> Encoder:
        """Return the backbone, with the code layer on top if the latent code is evaluated."""
        return Encoder(
            self.backbone, input_of(self.traits), code=self.code if self.settings.layer == "latent" else None
        )
