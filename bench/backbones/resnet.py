"""ResNet-18 and ResNet-50 of torchvision, with a stem and strides for small images.

Up to 64 pixels the stem is 3×3 with stride 1 and there is no max-pool [SimCLR, appendix B.9]. It is padded by
1 as in lightly; solo-learn pads by 2 (solo/methods/base.py, https://github.com/vturrisi/solo-learn), which is another network with the same
weights: the backbones ``resnet18_pad2`` and ``resnet50_pad2``. Above 64 pixels the stem is ImageNet's. A layer has stride 1 if its map would
otherwise be too small (``stage_strides``).
"""

import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from bench.backbones.convolutional import ConvolutionalBackbone
from bench.backbones.strides import LARGEST_WITHOUT_STEM_STRIDE, stage_strides
from methods.parts.rows import divisible
from methods.traits import Traits


class ResNet(ConvolutionalBackbone):
    """torchvision's network ``name`` without its classifier.

    Attributes:
        structure: Stem and strides, in words: what its weights do not show.
    """

    def __init__(self, traits: Traits, name: str, stem_padding: int = 1) -> None:
        network = getattr(torchvision.models, name)(weights=None)
        super().__init__(network.fc.in_features)
        width = network.conv1.out_channels
        if traits.size <= LARGEST_WITHOUT_STEM_STRIDE:
            stem = nn.Conv2d(traits.channels, width, 3, 1, padding=stem_padding, bias=False)
            pool: nn.Module = nn.Identity()
            size = traits.size
            self.structure = f"3×3 stem with stride 1 and padding {stem_padding}, no max-pool"
        else:
            stem = nn.Conv2d(traits.channels, width, 7, 2, padding=3, bias=False)
            pool = network.maxpool
            size = -(-traits.size // 4)
            self.structure = "7×7 stem with stride 2, max-pool"
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        layers = [network.layer1, network.layer2, network.layer3, network.layer4]
        strides = stage_strides(size, 3)
        self.structure += f", stages with strides 1, {', '.join(map(str, strides))}"
        for layer, stride in zip(layers[1:], strides, strict=True):
            if stride == 1:
                _keep_size(layer)
        self.layers = nn.Sequential(stem, network.bn1, network.relu, pool, *layers)

    @divisible
    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"]:
        """Return the feature map after ``layer4``."""
        features: Tensor = self.layers(images)
        return features


def _keep_size(layer: nn.Module) -> None:
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
