"""Numpy arrays in torch files: read without numpy's own unpickling, which is not meant for files of strangers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

_TYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1"}
"""Types of numbers that are read."""


class NumpyType:
    """Stands in for ``numpy.dtype``: keeps the name of the type, such as ``f4``, and the order of its bytes."""

    def __init__(self, name: Any = "", *_: Any) -> None:
        self.name, self.order = str(name), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])


class NumpyArray:
    """Stands in for ``numpy.ndarray``: keeps shape, type and bytes as they are in the file."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def tensor(self) -> Tensor | None:
        """Return the array as a tensor; None if it is no array of plain numbers.

        Raises:
            ValueError: Its bytes do not fit its shape.
        """
        if len(self.state) != 5:
            return None
        _, shape, kind, is_fortran, data = self.state
        if not isinstance(kind, NumpyType) or kind.name not in _TYPES or not isinstance(data, bytes):
            return None
        if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError("a numpy array without a valid shape")
        kept = np.dtype(kind.name).newbyteorder(">" if kind.order == ">" else "<")
        if math.prod(shape) * kept.itemsize != len(data):
            raise ValueError("a numpy array whose bytes do not fit its shape")
        array = np.frombuffer(data, kept).reshape(shape, order="F" if is_fortran else "C")
        return torch.from_numpy(array.astype(kept.newbyteorder("="), order="C"))


def _array(*_: Any) -> NumpyArray:
    """Stand in for ``_reconstruct``, with which numpy's pickles begin an array."""
    return NumpyArray()


def _number(*_: Any) -> None:
    """Stand in for ``scalar``: a number next to the weights is left out."""


STAND_INS: list[tuple[Callable[..., Any], str]] = [
    (NumpyType, "numpy.dtype"),
    (NumpyArray, "numpy.ndarray"),
    *((_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""What replaces each of numpy's names in a file: (replacement, name)."""
