"""Work on the rows of a batch that do not depend on each other: the harness may divide it among several devices.

Backbones and the masked passes of vision transformers call their functions through ``by_rows``. On one device this calls
the function directly. On several devices each process computes a part of the rows and receives all results, so that a
method's ``forward`` always sees the whole batch. A function that is not called through ``by_rows`` is computed for the
whole batch in every process: the numbers are the same, only nothing is gained.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol

from torch import Tensor

Options = ParamSpec("Options")


class Division(Protocol):
    """Computes a function of rows in parts, and returns the results for all rows."""

    def __call__(self, compute: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """Return ``compute(*rows)``."""


_division: ContextVar[Division | None] = ContextVar("division", default=None)


@contextmanager
def divided(division: Division | None) -> Iterator[None]:
    """Pass calls of ``by_rows`` to a division within this context; None calls functions directly."""
    before = _division.set(division)
    try:
        yield
    finally:
        _division.reset(before)


def by_rows(compute: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """Return ``compute(*rows)``, whose rows may be computed in several processes.

    Args:
        compute: Function of tensors with equally many rows; it returns one tensor with a row for each of theirs. Apart from
            batch norms, which use the statistics of all rows, a row of the result depends only on the same row of the
            arguments. It draws no random numbers.
        rows: Tensors with equally many rows.
    """
    division = _division.get()
    if division is None:
        return compute(*rows)
    with divided(None):
        return division(compute, *rows)


def divisible(
    function: Callable[Concatenate[Any, Tensor, Options], Tensor],
) -> Callable[Concatenate[Any, Tensor, Options], Tensor]:
    """Call a backbone's function of images through ``by_rows``; a decorator."""

    @wraps(function)
    def call(self: Any, images: Tensor, *args: Options.args, **options: Options.kwargs) -> Tensor:
        return by_rows(lambda rows: function(self, rows, *args, **options), images)

    return call  # type: ignore[return-value]
