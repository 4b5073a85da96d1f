"""Decoders from a feature vector to an image of any size."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

_SMALLEST_MAP = 4
_NARROWEST = 16


class Decoder(nn.Module):
    """A linear layer to a small map, then upsampling by 2 and 3×3 convolutions up to the image's size.

    The map starts with at least 4×4 pixels and is doubled until it covers the image; the surplus is cropped.
    Nearest-neighbour upsampling with convolutions replaces transposed convolutions, which cause checkerboard artefacts
    [Odena 2016, https://distill.pub/2016/deconv-checkerboard]. The last layer is linear: a ReLU or a sigmoid saturates,
    and a saturated pixel has no gradient and stays black.
    """

    def __init__(self, dim: int, width: int, size: int, channels: int) -> None:
        """Build a decoder from ``dim`` features to images, with ``width`` channels on the smallest map."""
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
        """Return images of normalised pixels."""
        images: Tensor = self.layers(latent)
        return images[:, :, : self.size, : self.size]


class MirroredDecoder(nn.Module):
    """The hidden layers of a backbone of linear layers in reverse, then a linear layer to the pixels.

    No ReLU follows the last layer: a pixel whose pre-activation is negative for every image would have no gradient and
    stay black.
    """

    def __init__(self, dim: int, backbone: nn.Module, size: int, channels: int) -> None:
        """Build a decoder from ``dim`` features to images of ``size`` and ``channels``.

        Raises:
            ValueError: The backbone has weights outside of linear layers.
        """
        super().__init__()
        weighted = [module for module in backbone.modules() if next(module.parameters(recurse=False), None) is not None]
        hidden = [module.out_features for module in weighted if isinstance(module, nn.Linear)]
        if not hidden or len(hidden) < len(weighted):
            raise ValueError(
                "decoder=mirrored needs a backbone of linear layers: use backbone mlp or decoder=convolutional"
            )
        layers: list[nn.Module] = []
        for wide, narrow in pairwise((dim, *reversed(hidden))):
            layers += [nn.Linear(wide, narrow), nn.ReLU(inplace=True)]
        layers += [nn.Linear(hidden[0], channels * size**2), nn.Unflatten(1, (channels, size, size))]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch channels size size"]:
        """Return images of normalised pixels."""
        images: Tensor = self.layers(latent)
        return images
