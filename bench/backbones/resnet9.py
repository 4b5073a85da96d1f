"""ResNet-9: the small residual network of the CIFAR speed competitions.

Source: David Page, "How to train your ResNet", part 4 (https://github.com/davidcpage/cifar10-fast, dawn.py): prep,
then three layers of convolution and max-pool, the first and the third with a residual block. Deviations: average pooling
replaces the last max-pool, so that the number of features does not depend on the image size; the stem has stride 2 above
64 pixels.
"""

from jaxtyping import Float
from torch import Tensor, nn

from bench.backbones.convolutional import ConvolutionalBackbone
from bench.backbones.strides import LARGEST_WITHOUT_STEM_STRIDE, stage_strides
from methods.parts.rows import divisible
from methods.traits import Traits


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels))

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        branch: Tensor = self.branch(x)
        return x + branch


class ResNet9(ConvolutionalBackbone):
    """ResNet-9 with ``width``, 2·``width``, 4·``width`` and 8·``width`` channels; 8·``width`` features."""

    def __init__(self, traits: Traits, width: int) -> None:
        super().__init__(8 * width)
        stem = 2 if traits.size > LARGEST_WITHOUT_STEM_STRIDE else 1
        pools = [nn.MaxPool2d(s) if s > 1 else nn.Identity() for s in stage_strides(-(-traits.size // stem), 3)]
        self.layers = nn.Sequential(
            _convolution(traits.channels, width, stem),
            _convolution(width, 2 * width),
            pools[0],
            _Residual(2 * width),
            _convolution(2 * width, 4 * width),
            pools[1],
            _convolution(4 * width, 8 * width),
            pools[2],
            _Residual(8 * width),
        )

    @divisible
    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"]:
        """Return the last feature map."""
        features: Tensor = self.layers(images)
        return features
