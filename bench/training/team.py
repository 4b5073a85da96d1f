"""The processes that train one run together, one per device, so that together they compute what one process computes.

Every process draws the random numbers of the whole batch and carries out the same steps. Only work on rows is divided
(``methods/parts/rows.py``): views and passes through a backbone. The results are gathered, so that each process computes the
loss of the whole batch. The gradient of a gathered result is summed over the processes, and the gradients of parameters are
averaged: the mean is the gradient that one process has.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import Function

from bench.errors import SslbenchError
from bench.training.whole_batch_norm import WholeBatchNorm
from bench.views.rows import Rows, share_of
from methods.parts.rows import divided

TIMEOUT = timedelta(minutes=10)
"""Time after which a process that waits for another one gives up; the first process may be writing a checkpoint meanwhile."""


class Team:
    """This process among those that train one run; it must be closed.

    Args:
        rank: Number of this process; process 0 writes all files and decides when to stop.
        size: Number of processes.
        meeting: File through which the processes find each other; it does not exist before.
        device: Device of this process.
    """

    def __init__(self, rank: int, size: int, meeting: Path, device: torch.device) -> None:
        self.rank, self.size = rank, size
        store = dist.FileStore(str(meeting), size)  # type: ignore[attr-defined]
        backend, gpu = ("nccl", device) if device.type == "cuda" else ("gloo", None)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT, device_id=gpu)
        # Decisions of the host go through main memory, so that no host waits for its GPU.
        self._hosts: Any = dist.new_group(backend="gloo", timeout=TIMEOUT)

    def close(self) -> None:
        """Leave the group."""
        dist.destroy_process_group()

    def rows(self, count: int) -> Rows:
        """Return the rows of a batch of ``count`` rows that this process computes."""
        return share_of(self.rank, self.size, count)

    def gather(self, part: Tensor, count: int) -> Tensor:
        """Return all ``count`` rows, of which each process passes its part; without a gradient."""
        most = share_of(0, self.size, count)
        padded = part if len(part) == len(most) else torch.cat([part, part.new_zeros(1, *part.shape[1:])])
        every = part.new_empty(self.size * len(most), *part.shape[1:])
        dist.all_gather_into_tensor(every, padded.contiguous())
        if count == len(every):
            return every
        parts = torch.split(every, len(most))
        return torch.cat([rows[: len(share_of(rank, self.size, count))] for rank, rows in enumerate(parts)])

    def decide(self, stop: bool) -> bool:
        """Return the decision of process 0."""
        decision = torch.tensor(stop)
        dist.broadcast(decision, 0, group=self._hosts)
        return bool(decision)

    def equalise(self, method: nn.Module) -> None:
        """Give every process the parameters and buffers of process 0, in place."""
        for tensor in (*method.parameters(), *method.buffers()):
            first = tensor.detach().contiguous()
            dist.broadcast(first, 0)
            tensor.data.copy_(first)

    def average_gradients(self, method: nn.Module) -> None:
        """Replace each gradient by its mean over the processes; sparse ones, which no backbone has, are equal everywhere."""
        gradients = [p.grad for p in method.parameters() if p.grad is not None and not p.grad.is_sparse]
        if gradients:
            whole = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(whole)
            parts = torch.split(whole.div_(self.size), [gradient.numel() for gradient in gradients])
            torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])

    @contextmanager
    def dividing(self) -> Iterator[None]:
        """Divide work on rows among the processes within this context."""
        with divided(self._compute):
            yield

    def _compute(self, compute: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """Compute this process's rows of a result, and return all rows; fewer rows than processes are computed by each of them."""
        count = len(rows[0])
        if count < self.size:
            return compute(*rows)
        own = self.rows(count)
        with WholeBatchNorm():
            result = compute(*(tensor[own.part] for tensor in rows))
        if not isinstance(result, Tensor) or len(result) != len(own):
            shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise SslbenchError(
                f"a backbone returned {shape} for {len(own)} rows; by_rows needs a tensor with as many rows"
            )
        gathered: Tensor = _Gather.apply(result, self, count)
        return gathered


class _Gather(Function):
    """All rows of a result of which each process has a part; the gradient of a part is summed over the processes."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, team: Team, count: int) -> Tensor:
        """Return all rows."""
        ctx.team = team
        return team.gather(part, count)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of this process's rows."""
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole[ctx.team.rows(len(whole)).part], None, None
