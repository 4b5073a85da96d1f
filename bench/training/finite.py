"""Checks that a training stays finite: the norm of its gradient, and the tensors of its method and optimiser."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import Diverged


def gradient_norm(fabric: Fabric, model: nn.Module, optimizer: Optimizer, clip: float | None) -> Float[Tensor, ""]:
    """Return the global norm of the gradient, on its device; with ``clip`` the gradient is scaled to at most this norm.

    A norm that is not finite raises no error here: reading it would wait for the device in every step.
    """
    if clip is not None:
        norm = fabric.clip_gradients(model, optimizer, max_norm=clip, error_if_nonfinite=False)
        assert isinstance(norm, Tensor)
        return norm
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return nn.utils.get_total_norm([gradient for gradient in gradients if not gradient.is_sparse])


class FiniteState:
    """Checks that all tensors of a method and its optimiser are finite.

    Buffers that are not finite from the start, such as masks of an attention, are left out.

    Args:
        method: The method, before its training.
        optimizer: Its optimiser.
    """

    def __init__(self, method: nn.Module, optimizer: Optimizer) -> None:
        self.method, self.optimizer = method, optimizer
        self._left_out = set(_not_finite(dict(method.named_buffers())))

    def check(self, when: str) -> None:
        """Raise Diverged if a tensor is not finite; waits for the device.

        Args:
            when: End of the message, for example ``after step 3 of 300``.
        """
        tensors = dict(self.method.named_parameters()) | {
            name: buffer for name, buffer in self.method.named_buffers() if name not in self._left_out
        }
        found = _not_finite(tensors) or _not_finite(dict(self._of_optimizer()))
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise Diverged(f"{found[0]}{more} became NaN or infinite {when}")

    def _of_optimizer(self) -> Iterator[tuple[str, Tensor]]:
        for number, state in enumerate(self.optimizer.state.values()):
            for key, value in state.items():
                if isinstance(value, Tensor):
                    yield f"the optimiser's {key} of parameter {number}", value


def _not_finite(tensors: dict[str, Tensor]) -> list[str]:
    """Return the names of the tensors with a value that is not finite."""
    floats = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.is_sparse}
    if not floats:
        return []
    finite = [tensor.detach().isfinite().all() for tensor in floats.values()]
    return [
        name for name, good in zip(floats, torch.stack([f.cpu() for f in finite]).tolist(), strict=True) if not good
    ]
