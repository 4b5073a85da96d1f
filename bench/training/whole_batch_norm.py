"""Batch norm over the rows of several processes, on any device.

torch's ``SyncBatchNorm`` has no form for a CPU, replaces modules, and on a GPU makes the host wait in every layer. Here every
call of ``batch_norm`` in training mode within a context uses the statistics of all processes, whatever module makes it: modules,
copies of them and checkpoints stay what they are on one device.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class WholeBatchNorm(TorchFunctionMode):
    """Within this context, batch norms in training mode normalise over the rows of all processes of the default group."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace ``batch_norm`` in training mode; every other function is called unchanged."""
        kwargs = kwargs or {}
        if func is functional.batch_norm:
            return _batch_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what ``torch.nn.functional.batch_norm`` returns for this process's rows of the whole batch."""
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    normalised, mean, variance, count = _WholeBatchNorm.apply(input, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * (count / (count - 1))).to(running_var.dtype), momentum)
    result: Tensor = normalised
    return result


class _WholeBatchNorm(Function):
    """Batch norm [Ioffe 2015]: the processes exchange mean and variance, and in the backward pass two sums per channel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Float[Tensor, " channels"], Float[Tensor, " channels"], Float[Tensor, ""]]:
        """Return the normalised rows, and mean, variance and number of values per channel of the whole batch."""
        over = [d for d in range(x.ndim) if d != 1]
        variance, mean = torch.var_mean(_precise(x), over, correction=0)
        own = torch.cat([mean, variance, mean.new_full((1,), x.numel() // x.shape[1])])
        every = own.new_empty(dist.get_world_size() * len(own))
        dist.all_gather_into_tensor(every, own)
        means, variances, counts = torch.split(every.view(-1, len(own)), [len(mean), len(mean), 1], dim=1)
        count = counts.sum()
        share = counts / count
        mean = (share * means).sum(0)
        variance = (share * (variances + (means - mean).square())).sum(0)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), count)
        ctx.has_bias = bias is not None
        ctx.mark_non_differentiable(mean, variance, count)
        return functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the rows, weight and bias; those of weight and bias are of this process's rows."""
        x, weight, mean, inverse, count = ctx.saved_tensors
        gradient = _precise(gradients[0])
        over = [d for d in range(x.ndim) if d != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        normalised = (_precise(x) - mean.view(shape)) * inverse.view(shape)
        own = torch.stack([gradient.sum(over), (gradient * normalised).sum(over)])
        whole = own.clone()
        dist.all_reduce(whole)
        of_sum, of_product = (whole / count).view(2, *shape[:1], -1, *shape[2:]).unbind()
        scale = inverse if weight is None else inverse * weight
        of_x = (gradient - of_sum - normalised * of_product) * scale.view(shape)
        return of_x.to(x.dtype), None if weight is None else own[1], own[0] if ctx.has_bias else None, None


def _precise(x: Tensor) -> Tensor:
    """Return values of at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
