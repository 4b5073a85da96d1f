"""Any network as a backbone: its features and its map are found by looking at what it returns."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench.errors import SslbenchError
from methods.base import Backbone, Pooling


class Network(Backbone):
    """A module that gives B×D, or a map B×D×h×w which is averaged.

    Args:
        net: The module.
        shape: Channels, height and width of its images.
        what: The network's name, for messages.
        map_of: (module, images) -> its last map or its tokens; None where the module's own output is all there is.
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
        self.dim = self._look(shape, what)

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"] | None:
        """Return the last map, or None where the network has none of as many channels as it has features."""
        found = self.net(images) if self.map_of is None else self.map_of(self.net, images)
        return found if found is not None and found.ndim == 4 and found.shape[1] == self.dim else None

    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return what the network gives, a map averaged; raises ValueError for another pooling than ``average``."""
        if pooling != "average":
            raise ValueError(f"A network from elsewhere pools by itself: it has no pooling '{pooling}'.")
        found: Tensor = self.net(images)
        return found.mean(dim=(2, 3)) if found.ndim == 4 else found

    @torch.no_grad()
    def _look(self, shape: tuple[int, int, int], what: str) -> int:
        """Return the number of features, seen from two blank images."""
        was_training = self.net.training
        found = self.net.eval()(torch.zeros(2, *shape))
        self.net.train(was_training)
        if not isinstance(found, Tensor) or found.ndim not in (2, 4) or len(found) != 2:
            form = "×".join(["B", *map(str, found.shape[1:])]) if isinstance(found, Tensor) else type(found).__name__
            raise SslbenchError(f"{what}: returns {form}; features must be B×D, or a map B×D×h×w that is averaged")
        return found.shape[1]


def from_random_start(net: nn.Module, what: str) -> None:
    """Draw all weights anew, as each layer's own ``reset_parameters`` does.

    Raises:
        ValueError: A layer with weights of its own has none.
    """
    for name, module in net.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise ValueError(f"{what} cannot start at random: {name or type(module).__name__} has no reset_parameters.")
