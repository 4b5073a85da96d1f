"""A multilayer perceptron on the flattened image, for the MNIST study: hidden layers of 512, 256 and 128 units."""

from itertools import pairwise
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from methods.base import Backbone, Pooling
from methods.parts.rows import divisible
from methods.traits import Traits

_HIDDEN = (512, 256, 128)


class MLP(Backbone):
    """Linear layers with ReLU; 128 features, no feature map and no pooling."""

    kind: ClassVar[Literal["convolutional", "transformer", "mlp", "none"]] = "mlp"

    def __init__(self, traits: Traits) -> None:
        super().__init__()
        self.dim = _HIDDEN[-1]
        self.pooling: Pooling = "none"
        sizes = (traits.channels * traits.size**2, *_HIDDEN)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> None:
        """Return None: there is no feature map."""

    @divisible
    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return the last hidden layer; raises ValueError unless ``pooling`` is ``none``."""
        if pooling != "none":
            raise ValueError(f"A multilayer perceptron has no pooling '{pooling}': use 'none'.")
        features: Tensor = self.layers(images)
        return features
