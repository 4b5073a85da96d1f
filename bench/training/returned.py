"""Checks what a method's functions return against the contract, and names the function in which an error arose."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bench.errors import Diverged, SslbenchError, Stopped, StorageError
from methods.base import Batch, Loss

CURVE_NAMES = ("loss", "step")
"""Names in a record's loss curve that a part of the loss cannot have."""
LISTED = 6
"""Views listed in a message."""


@contextmanager
def in_function(name: str, batch: Batch | None = None) -> Iterator[None]:
    """Add to an exception within the block the function of the method that raised it, and the views that it received."""
    try:
        yield
    except (Diverged, Stopped, StorageError):
        raise
    except BaseException as error:
        error.add_note(f"in {name}" + ("" if batch is None else f"; batch.views: {_views(batch)}"))
        raise


def check_loss(loss: Any) -> None:
    """Check what ``forward`` returned.

    Raises:
        SslbenchError: It is no ``Loss`` with a float32 scalar that depends on trained parameters, and named scalar parts.
    """
    if not isinstance(loss, Loss):
        raise SslbenchError(f"forward returned {_kind(loss)}; it must return Loss(total, parts)")
    problem = _problem_of(loss.total, "Loss.total")
    if problem is None and loss.total.dtype != torch.float32:
        problem = f"Loss.total is {_dtype(loss.total)}; it must be float32: compute the loss on .float() tensors"
    if problem is None and not loss.total.requires_grad:
        problem = "Loss.total has no gradient: it was detached, or no trained parameter is part of it"
    if problem is None and not isinstance(loss.parts, dict):
        problem = f"Loss.parts is {_kind(loss.parts)}; it must be a dict of names and scalar tensors ({{}} for none)"
    if problem is not None:
        raise SslbenchError(f"forward: {problem}")
    for name, part in loss.parts.items():
        if not isinstance(name, str) or not name or name in CURVE_NAMES:
            raise SslbenchError(
                f"forward: a part of the loss is named {name!r}; names are texts other than {' and '.join(CURVE_NAMES)}"
            )
        problem = _problem_of(part, f"Loss.parts[{name!r}]")
        if problem is not None:
            raise SslbenchError(f"forward: {problem}")


def check_groups(groups: Any) -> list[dict[str, Any]]:
    """Check and return what ``parameter_groups`` returned.

    Raises:
        SslbenchError: They are no list of dicts with ``params``, a parameter is in two groups, or there is none.
    """
    if isinstance(groups, list | tuple) and all(isinstance(group, dict) and "params" in group for group in groups):
        prepared = [{**group, "params": list(group["params"])} for group in groups]
        parameters = [p for group in prepared for p in group["params"]]
        if not all(isinstance(p, Tensor) for p in parameters):
            raise SslbenchError("parameter_groups: `params` of a group must be a list of parameters")
        if len({id(p) for p in parameters}) < len(parameters):
            raise SslbenchError("parameter_groups: a parameter is in two groups")
        if not parameters:
            raise SslbenchError("parameter_groups: there is no parameter to train")
        return prepared
    raise SslbenchError(f"parameter_groups returned {_kind(groups)}; it must return a list of dicts with `params`")


def _problem_of(value: Any, name: str) -> str | None:
    if not isinstance(value, Tensor):
        return f"{name} is {_kind(value)}; it must be a tensor"
    if value.shape != ():
        return f"{name} has shape {tuple(value.shape)}; it must be a scalar: take its mean or sum"
    if not (value.is_floating_point() or value.dtype in (torch.int32, torch.int64)):
        return f"{name} is {_dtype(value)}; it must be a number"
    return None


def _views(batch: Batch) -> str:
    shapes = ["×".join(map(str, view.shape)) for view in batch.views]
    return f"{len(shapes)} ({', '.join(shapes[:LISTED])}{', …' if len(shapes) > LISTED else ''})"


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
