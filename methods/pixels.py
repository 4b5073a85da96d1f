"""The baseline without a network: the features are the pixels themselves."""

from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from methods.base import Backbone, Family, Method, Needs, Pooling, Recipe
from methods.traits import Traits


class FlattenedImage(Backbone):
    """A backbone without parameters: the prepared image, flattened to one vector."""

    kind: ClassVar[Literal["convolutional", "transformer", "mlp", "none"]] = "none"

    def __init__(self, traits: Traits) -> None:
        super().__init__()
        self.dim = traits.channels * traits.size**2
        self.pooling: Pooling = "none"

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> None:
        """Return None: there is no feature map."""

    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return the flattened images."""
        return images.flatten(1)


class Pixels(Method):
    """The normalised pixels, flattened."""

    title: ClassVar[str] = "Pixels"
    paper: ClassVar[str] = "none: the image itself"
    family: ClassVar[Family] = "floor and ceiling"
    needs: ClassVar[Needs] = Needs(training=False, backbone="none")
    recipe: ClassVar[Recipe] = Recipe(version=1)

    def __init__(self, backbone: Backbone | None, settings: Any, traits: Traits) -> None:
        super().__init__(FlattenedImage(traits), settings, traits)
