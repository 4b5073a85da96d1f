"""A watch over every operation on CUDA tensors for which the host would wait; the tensors are fake, so that no GPU is needed."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import bench

ROOT = Path(bench.__file__).parents[1]
READS = ("_local_scalar_dense", "equal", "is_nonzero")
"""Operations whose result is a Python number."""
COUNTS = ("nonzero", "masked_select", "bincount", "_unique", "_unique2", "unique_dim", "unique_consecutive")
"""Operations whose result has a size that depends on numbers on the device."""
CHECKS = ("_linalg_check_errors", "_linalg_eigh", "_linalg_svd", "linalg_eig", "linalg_lstsq", "multinomial")
"""Operations after which the host reads whether they succeeded."""
PUTS = ("index_put", "index_put_", "_index_put_impl_")
COPIES = ("_to_copy", "copy_", "_copy_from")


@dataclass(frozen=True)
class Wait:
    """One operation for which the host waits.

    Attributes:
        operation: What waits.
        places: ``file.py:function`` of the calls that led to it, innermost first; those of sslbench and lightly only.
        line: Line of the innermost of these calls.
    """

    operation: str
    places: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        called = f", called in {self.places[1]}" if len(self.places) > 1 else ""
        return f"{self.operation} in {self.places[0]}, line {self.line}{called}"


@dataclass
class Watch(TorchDispatchMode):
    """Runs operations on CPU tensors for real, and records those on CUDA tensors for which the host would wait.

    After a wait the work goes on as if every number on the device were the same, and every mask and check were true.

    Attributes:
        number: The number that is read from the device.
        waits: What waited, without repetitions.
    """

    number: float = 0.0
    waits: dict[Wait, None] = field(default_factory=dict)
    _pinned: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def pin(self, tensor: Tensor) -> Tensor:
        """Return a copy in memory that counts as pinned."""
        self._pinned.append(tensor.clone())
        return self._pinned[-1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        if not any(_on_gpu(leaf) for leaf in leaves):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name == "_fused_sgd_":  # It has no form for fake tensors; it returns nothing.
            return None
        if name in COPIES:
            return self._copy(func, args, kwargs)
        if name in READS:
            self._record(f"{name} (a number is read on the host)")
            return self._read(args[0].dtype) if name == "_local_scalar_dense" else True
        if name in CHECKS:
            self._record(f"{name} (the host checks for errors)")
            return None if name == "_linalg_check_errors" else func(*args, **kwargs)
        if name in COUNTS:
            self._record(f"{name} (a size depends on numbers)")
            return _counted(name, args, kwargs, func)
        if name == "repeat_interleave" and isinstance(args[0], Tensor) and kwargs.get("output_size") is None:
            self._record("repeat_interleave (a size depends on numbers)")
        if name == "index" or name in PUTS:
            return self._index(name, func, args, kwargs)
        return func(*args, **kwargs)

    def _copy(self, func: Any, args: Any, kwargs: Any) -> Any:
        source, target = (
            (args[0], kwargs.get("device")) if func.overloadpacket.__name__ == "_to_copy" else (args[1], args[0].device)
        )
        target = source.device if target is None else torch.device(target)
        waiting = not (kwargs.get("non_blocking") or (len(args) > 2 and args[2]))
        if source.device.type == "cpu" and target.type == "cuda":
            if waiting or not any(source is pinned for pinned in self._pinned):
                self._record(
                    "copy to the device from memory that is not pinned"
                    if not waiting
                    else "copy to the device for which the host waits"
                )
        elif source.device.type == "cuda" and target.type == "cpu":
            self._record("copy from the device")
            with unset_fake_temporarily():
                dtype = kwargs.get("dtype") or source.dtype
                answer = torch.full(source.shape, self._read(dtype), dtype=dtype)
                return answer if func.overloadpacket.__name__ == "_to_copy" else args[0].copy_(answer)
        return func(*args, **kwargs)

    def _index(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        positions: list[Tensor | None] = []
        for index in args[1]:
            if index is None or index.dtype not in (torch.bool, torch.uint8):
                if index is not None and index.device.type == "cpu" and args[0].device.type == "cuda" and index.ndim:
                    self._record("copy of an index to the device")
                positions.append(index)
                continue
            if name == "index" or args[2].numel() > 1:
                self._record("indexing with a boolean mask")
            positions += [torch.zeros(index.numel(), dtype=torch.int64, device=args[0].device)] * index.ndim
        return func(args[0], positions, *args[2:], **kwargs)

    def _read(self, dtype: torch.dtype) -> Any:
        return True if dtype == torch.bool else self.number if dtype.is_floating_point else 0

    def _record(self, operation: str) -> None:
        places, lines = [], []
        frame = sys._getframe(2)
        while frame is not None:
            file = Path(frame.f_code.co_filename)
            place = _place(file)
            # A comprehension or lambda belongs to the function around it.
            if place is not None and not frame.f_code.co_name.startswith("<"):
                places.append(f"{place}:{frame.f_code.co_name}")
                lines.append(frame.f_lineno)
            frame = frame.f_back
        self.waits[Wait(operation, tuple(places), lines[0] if lines else 0)] = None


def _on_gpu(leaf: Any) -> bool:
    device = leaf.device if isinstance(leaf, Tensor) else leaf
    return isinstance(device, torch.device) and device.type == "cuda"


def _place(file: Path) -> str | None:
    """Return a file's path within sslbench or lightly; None for the tests and for every other library."""
    if file.is_relative_to(ROOT):
        place = file.relative_to(ROOT)
        return str(place) if place.parts[0] in ("bench", "methods", "protocols") else None
    parts = file.parts
    return "/".join(parts[parts.index("lightly") :]) if "lightly" in parts else None


def _counted(name: str, args: Any, kwargs: Any, func: Any) -> Any:
    device = args[0].device
    if name == "nonzero":
        return torch.zeros(args[0].numel(), args[0].ndim, dtype=torch.int64, device=device)
    if name == "masked_select":
        return torch.zeros(args[0].numel(), dtype=args[0].dtype, device=device)
    if name == "bincount":
        size = kwargs.get("minlength", args[2] if len(args) > 2 else 1)
        return torch.zeros(size, dtype=torch.int64, device=device)
    return func(*args, **kwargs)
