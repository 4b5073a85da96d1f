"""AlexNet for small images: five 3×3 convolutions with batch norm and three max-pools.

Source: widths and pool positions are those of torchvision's AlexNet, without fully connected layers, as on CIFAR in
https://github.com/bearpaw/pytorch-classification (models/cifar/alexnet.py); batch norm after each convolution as in RotNet's
(https://github.com/gidariss/FeatureLearningRotNet, architectures/AlexNet.py) and DeepCluster's.
Deviations: all convolutions are 3×3 (torchvision's first is 11×11 with stride 4, its second 5×5); average pooling replaces the flattened
feature map.
"""

from jaxtyping import Float
from torch import Tensor, nn

from bench.backbones.convolutional import ConvolutionalBackbone
from bench.backbones.strides import LARGEST_WITHOUT_STEM_STRIDE, stage_strides
from methods.parts.rows import divisible
from methods.traits import Traits

_CHANNELS = (64, 192, 384, 256, 256)
_POOLED = (0, 1, 4)


class AlexNet(ConvolutionalBackbone):
    """AlexNet with batch norm; 256 features."""

    def __init__(self, traits: Traits) -> None:
        super().__init__(_CHANNELS[-1])
        size = traits.size
        stem = stage_strides(size, 1)[0]
        if size > LARGEST_WITHOUT_STEM_STRIDE:
            stem = 4
        pools = iter(stage_strides(-(-size // stem), len(_POOLED)))
        layers: list[nn.Module] = []
        channels_in = traits.channels
        for index, channels_out in enumerate(_CHANNELS):
            stride = stem if index == 0 else 1
            layers += [
                nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(inplace=True),
            ]
            if index in _POOLED and next(pools) > 1:
                layers.append(nn.MaxPool2d(2))
            channels_in = channels_out
        self.layers = nn.Sequential(*layers)

    @divisible
    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"]:
        """Return the feature map of the last layer."""
        features: Tensor = self.layers(images)
        return features
