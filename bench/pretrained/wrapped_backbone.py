"""Wrap any network as a backbone: the kind of its features is found by looking at its output."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench.errors import SslbenchError
from methods.base import Backbone, Pooling


class Network(Backbone):
    """A module that returns features B×D, or a feature map B×D×h×w, which is averaged.

    Args:
        net: The module.
        shape: Channels, height and width of its images.
        what: The network's name, for messages.
        map_of: (module, images) -> its last feature map; None to use the module's own output.
    """

    kind: ClassVar[Literal["convolutional", "transformer", "mlp", "none"]] = "none"

    def __init__(
        self,
        net: nn.Module,
        shape: tuple[int, int, int],
        what: str,
        map_of: Callable[[nn.Module, Tensor], Tensor | None] | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.pooling: Pooling = "average"
        self.map_of = map_of
        self.dim = self._feature_count(shape, what)

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"] | None:
        """Return the last feature map, or None if the network has no map with one channel per feature."""
        found = self.net(images) if self.map_of is None else self.map_of(self.net, images)
        return found if found is not None and found.ndim == 4 and found.shape[1] == self.dim else None

    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return the network's output, averaged if it is a map; raise ValueError for a pooling other than ``average``."""
        if pooling != "average":
            raise ValueError(f"A network pretrained elsewhere does its own pooling; it has no pooling '{pooling}'.")
        found: Tensor = self.net(images)
        return found.mean(dim=(2, 3)) if found.ndim == 4 else found

    @torch.no_grad()
    def _feature_count(self, shape: tuple[int, int, int], what: str) -> int:
        """Return the number of features, from the output for two blank images."""
        was_training = self.net.training
        found = self.net.eval()(torch.zeros(2, *shape))
        self.net.train(was_training)
        if not isinstance(found, Tensor) or found.ndim not in (2, 4) or len(found) != 2:
            form = "×".join(["B", *map(str, found.shape[1:])]) if isinstance(found, Tensor) else type(found).__name__
            raise SslbenchError(f"{what}: returns {form}; features must be B×D, or a map B×D×h×w that is averaged")
        return found.shape[1]


def from_random_start(net: nn.Module, what: str) -> None:
    """Draw all weights again, with each layer's own ``reset_parameters``.

    Raises:
        ValueError: A layer with parameters has no ``reset_parameters``.
    """
    for name, module in net.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise ValueError(
                f"{what} cannot start from random weights: {name or type(module).__name__} has no reset_parameters."
            )
