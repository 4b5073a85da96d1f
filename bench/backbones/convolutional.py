"""Base class of convolutional backbones: the features are the mean of the last feature map."""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from methods.base import Backbone, Pooling
from methods.parts.rows import divisible


class ConvolutionalBackbone(Backbone):
    """A backbone whose features are the mean of its last feature map, which subclasses compute."""

    kind: ClassVar[Literal["convolutional", "transformer", "mlp", "none"]] = "convolutional"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.pooling: Pooling = "average"

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"]:
        """Return the last feature map."""
        raise NotImplementedError

    @divisible
    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return the mean of the last feature map; raises ValueError unless ``pooling`` is ``average``."""
        if pooling != "average":
            raise ValueError(f"A convolutional backbone has no pooling '{pooling}': use 'average'.")
        last = self.feature_map(images)
        if last.requires_grad and not last.is_contiguous():
            # The gradient of a mean has an arbitrary layout; unless it is channels-last as the map, the whole backward pass is slow.
            last.register_hook(_channels_last)  # type: ignore[no-untyped-call]
        return last.mean(dim=(2, 3))


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
