"""Decoders: a vector becomes an image of any size."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

_SMALLEST_MAP = 4
_NARROWEST = 16


class Decoder(nn.Module):
    """A linear layer to a small map, then doubling and 3×3 convolution until the image's size is reached.

    The map starts with at least 4×4 pixels, so that an image of any size is a few doublings away; what is too much at the end is cut.
    Nearest-neighbour doubling and convolution instead of transposed convolution, which leaves a checkerboard
    [Odena 2016, https://distill.pub/2016/deconv-checkerboard]. The last layer is linear: a ReLU or a sigmoid there has places
    without gradient, where a pixel stays black for ever.
    """

    def __init__(self, dim: int, width: int, size: int, channels: int) -> None:
        """Build it for vectors of ``dim``, ``width`` channels on the smallest map, images of ``size`` and ``channels``."""
        super().__init__()
        doublings = 0
        while -(-size // 2 ** (doublings + 1)) >= _SMALLEST_MAP:
            doublings += 1
        start = -(-size // 2**doublings)
        self.size = size
        widths = [max(_NARROWEST, width // 2**i) for i in range(doublings + 1)]
        layers: list[nn.Module] = [
            nn.Linear(dim, widths[0] * start**2),
            nn.Unflatten(1, (widths[0], start, start)),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(wide, narrow, 3, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
            ]
        layers.append(nn.Conv2d(widths[-1], channels, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch channels size size"]:
        """Return images in the space of normalised pixels."""
        images: Tensor = self.layers(latent)
        return images[:, :, : self.size, : self.size]


class MirroredDecoder(nn.Module):
    """The hidden layers of a backbone of linear layers in reverse, then a linear layer to the pixels.

    Each pixel has weights of its own there: with a ReLU behind them, a pixel whose input is negative for every image has no gradient
    and stays black for ever.
    """

    def __init__(self, dim: int, backbone: nn.Module, size: int, channels: int) -> None:
        """Build it for vectors of ``dim`` and images of ``size`` and ``channels``.

        Raises:
            ValueError: The backbone has layers with weights that are not linear.
        """
        super().__init__()
        weighted = [module for module in backbone.modules() if next(module.parameters(recurse=False), None) is not None]
        hidden = [module.out_features for module in weighted if isinstance(module, nn.Linear)]
        if not hidden or len(hidden) < len(weighted):
            raise ValueError(
                "a mirrored decoder needs a backbone of linear layers: take backbone mlp, or decoder=convolutional"
            )
        layers: list[nn.Module] = []
        for wide, narrow in pairwise((dim, *reversed(hidden))):
            layers += [nn.Linear(wide, narrow), nn.ReLU(inplace=True)]
        layers += [nn.Linear(hidden[0], channels * size**2), nn.Unflatten(1, (channels, size, size))]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch channels size size"]:
        """Return images in the space of normalised pixels."""
        images: Tensor = self.layers(latent)
        return images
