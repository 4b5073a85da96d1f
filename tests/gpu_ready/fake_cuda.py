"""CUDA tensors on a machine without a GPU, and a failure wherever the host would wait for them.

PyTorch's fake tensors know their shape, type and device, but hold no numbers: an operation on tensors of two devices raises. CPU tensors stay
real. Autograd's engine cannot run on fake CUDA tensors; instead of a backward pass, each parameter that would get a gradient gets zeros.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from gpu_ready.may_wait import MAY_WAIT
from gpu_ready.watch import Wait, Watch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.views.prepare import _columns

CUDA = torch.device("cuda", 0)


class FakeGenerator(torch.Generator):
    """A CPU generator that names any device as its own."""

    def __new__(cls, device: torch.device | str) -> "FakeGenerator":
        """Return a generator; torch's own would look for the device."""
        return super().__new__(cls)

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The device that the generator was made for."""
        return self._device


def to_fake_cuda(module: nn.Module) -> None:
    """Replace parameters and buffers by fake CUDA tensors; a tensor in a plain attribute stays on the CPU, and raises when it is used."""
    for part in module.modules():
        for name, p in list(part._parameters.items()):
            if p is not None and p.device != CUDA:
                part._parameters[name] = nn.Parameter(torch.empty_like(p, device=CUDA), p.requires_grad)
        for name, b in list(part._buffers.items()):
            if b is not None and b.device != CUDA:
                part._buffers[name] = torch.empty_like(b, device=CUDA)


@contextmanager
def fake_cuda(subject: str) -> Iterator[Watch]:
    """Allow CUDA tensors within this context, and fail at its end if the subject waits anywhere but where it may (``may_wait.py``)."""
    watch = Watch()
    _columns.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch, FakeTensorMode(allow_non_fake_inputs=True), watch:
            for name, replacement in _replacements(watch).items():
                patch.setattr(name, replacement)
            yield watch
    except Exception:
        # A wait is the likely reason: after it, a mask is taken to be all true.
        check(subject, watch.waits, stale=False)
        raise
    finally:
        _columns.cache_clear()
    check(subject, watch.waits)


def check(subject: str, waits: Iterable[Wait], *, stale: bool = True) -> None:
    """Fail unless the subject waits exactly where it may."""
    allowed = MAY_WAIT.get(subject, {})
    unlisted = [str(wait) for wait in waits if wait.places[0] not in allowed]
    assert not unlisted, f"{subject} waits for the device:\n" + "\n".join(unlisted)
    unused = sorted(allowed.keys() - {wait.places[0] for wait in waits}) if stale else []
    assert not unused, f"{subject} does not wait at {', '.join(unused)}: remove this from MAY_WAIT"


def _replacements(watch: Watch) -> dict[str, Callable[..., Any]]:
    """Functions that need a GPU, and what replaces them."""
    return {
        "torch.amp.autocast_mode.torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
        "torch.cuda.is_bf16_supported": lambda *_: True,
        "torch.autograd.backward": give_gradients,
        "torch.nn.Module.to": moved_module,
        "bench.training.pretrain.synchronise": lambda device: None,
        "bench.seeds.new_generator": FakeGenerator,
        "bench.device.pinned": watch.pin,
        "bench.training.batches.pinned": watch.pin,
    }


def moved_module(module: nn.Module, device: Any = None, memory_format: Any = None) -> nn.Module:
    """Move a module to fake CUDA; its copies, once per module, do not count as waits."""
    if device is not None:
        assert torch.device(device) == CUDA
        to_fake_cuda(module)
    return module


def give_gradients(tensors: Tensor, *_: Any, **__: Any) -> None:
    """Set the gradient of every leaf of a tensor's graph to zero."""
    waiting, seen = [tensors.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            leaf.grad = torch.zeros_like(leaf)
        waiting += [following for following, _ in node.next_functions]
