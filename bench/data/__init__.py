"""Data sets: name -> uint8 images, labels, traits, splits. Importing this package or its catalogue imports no torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.data.loading import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from bench.data.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
