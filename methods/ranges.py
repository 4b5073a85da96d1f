"""Ranges of settings, declared as types next to their defaults: ``temperature: Positive = 0.2``."""

from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
PositiveFraction = Annotated[float, Interval(gt=0, le=1)]
BelowOne = Annotated[float, Interval(ge=0, lt=1)]
Part = Annotated[float, Interval(gt=0, lt=1)]
"""A part of something: neither nothing nor all."""
Strength = Annotated[float, Interval(ge=0, le=2.5)]
"""Strength of a colour jitter; above 2.5 the hue would turn by more than half a circle."""
Count = Annotated[int, Interval(ge=1, le=1_000_000)]
Whole = Annotated[int, Interval(ge=0, le=1_000_000)]
Multiple = Annotated[int, Interval(ge=1, le=1000)]
"""A width in multiples of the backbone's features."""
Views = Annotated[int, Interval(ge=2, le=100)]
LocalViews = Annotated[int, Interval(ge=0, le=100)]


def check_order(settings: Any, smaller: str, larger: str) -> None:
    """Raise ValueError if the first of two settings is larger than the second; for ``__post_init__``."""
    low, high = getattr(settings, smaller), getattr(settings, larger)
    if low > high:
        raise ValueError(f"{smaller}={low} is larger than {larger}={high}: set {smaller} to {high} or less")
