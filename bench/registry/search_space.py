"""The search space of a method for one recipe: the ranges that it declares, checked against its settings."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from bench.ranges import fits, out_of_range, type_name
from methods.space import MOST_DIMENSIONS, Dimension, OneOf, Times

if TYPE_CHECKING:
    from methods.base import Method, Recipe

RECIPE = "recipe."
DIGITS = 4
"""Significant digits of a number that a search tries."""


@dataclass(frozen=True)
class Axis:
    """One dimension of a search space for one recipe.

    Attributes:
        key: Name of the setting, as ``--set`` takes it.
        shipped: The value of the shipped recipe.
        low: Smallest value; None for a choice.
        high: Largest value; None for a choice.
        log: Whether the scale is logarithmic.
        choices: The values of a choice; empty for a range.
    """

    key: str
    shipped: Any
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def ends(self) -> tuple[Any, ...]:
        """The two ends of a range, or all values of a choice."""
        return self.choices or (self.low, self.high)

    def text(self) -> str:
        """Return the axis in words, for the user."""
        if self.choices:
            return f"{self.key}: one of {', '.join(map(str, self.choices))} (shipped {self.shipped})"
        scale = ", log scale" if self.log else ""
        return f"{self.key}: {self.low:g} to {self.high:g}{scale} (shipped {self.shipped:g})"


def axes_of(cls: "type[Method]", recipe: "Recipe") -> list[Axis]:
    """Return the dimensions of a method's search space for one of its recipes, sorted by their keys.

    Raises:
        ValueError: The space is not what the contract says; the message says what, without the method's name.
    """
    space = cls.space
    if not isinstance(space, Mapping):
        raise ValueError(f"is a {type(space).__name__}; it must map names of settings to Times, Between or OneOf")
    if len(space) > MOST_DIMENSIONS:
        raise ValueError(f"has {len(space)} dimensions, more than {MOST_DIMENSIONS}")
    hints = get_type_hints(cls.Settings, include_extras=True)
    settings = cls.Settings()
    shipped = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    for field in dataclasses.fields(recipe):
        if field.name != "version":
            shipped[RECIPE + field.name] = getattr(recipe, field.name)
            hints[RECIPE + field.name] = get_type_hints(type(recipe), include_extras=True)[field.name]
    axes = []
    for key in sorted(space, key=str):
        if key not in shipped:
            raise ValueError(f"names {key!s:.60}, which is neither a setting nor recipe.KEY")
        axis = _axis(key, shipped[key], space[key])
        for value in (*axis.ends, axis.shipped):
            if not fits(value, hints[key]):
                raise ValueError(f"{key}: {value!r:.60} is not {type_name(hints[key])}")
            if (reason := out_of_range(value, hints[key])) is not None:
                raise ValueError(f"{key}: {value!r:.60} is out of the setting's range, it {reason}")
        axes.append(axis)
    return axes


def space_problem(cls: "type[Method]") -> str | None:
    """Return what is wrong with a method's search space, for one of its recipes, or None."""
    for recipe in (cls.recipe, cls.transformer_recipe):
        try:
            if recipe is not None:
                axes_of(cls, recipe)
        except ValueError as error:
            return f"space: {error}"
    return None


def rounded(value: float, axis: Axis) -> float:
    """Return a number with ``DIGITS`` significant digits that lies inside the axis."""
    assert axis.low is not None and axis.high is not None
    return min(max(float(f"{value:.{DIGITS}g}"), axis.low), axis.high)


def _axis(key: str, shipped: Any, dimension: Dimension) -> Axis:
    if isinstance(dimension, OneOf):
        return _choice(key, shipped, dimension.values)
    if not isinstance(dimension, get_args(Dimension)):
        raise ValueError(f"{key}: is a {type(dimension).__name__}; it must be Times, Between or OneOf")
    ends = [dimension.low, dimension.high]
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in [*ends, shipped]):
        raise ValueError(f"{key}: a range needs finite numbers, also as the shipped value")
    log = isinstance(dimension, Times) or dimension.log
    if isinstance(dimension, Times):
        ends = [float(f"{shipped * factor:.{DIGITS}g}") for factor in ends]
        if dimension.at_most is not None:
            ends[1] = min(ends[1], dimension.at_most)
    if not ends[0] < ends[1] or (log and ends[0] <= 0):
        raise ValueError(
            f"{key}: from {ends[0]:g} to {ends[1]:g} is no range{' of a logarithmic scale' if log else ''}"
        )
    if not ends[0] <= shipped <= ends[1]:
        raise ValueError(f"{key}: the shipped value {shipped:g} is not between {ends[0]:g} and {ends[1]:g}")
    return Axis(key, shipped, float(ends[0]), float(ends[1]), log)


def _choice(key: str, shipped: Any, values: Any) -> Axis:
    plain = (bool, int, float, str, type(None))
    if not isinstance(values, tuple) or len(values) < 2 or not all(type(value) in plain for value in values):
        raise ValueError(f"{key}: OneOf needs a tuple of at least two texts, numbers, truth values or None")
    if len(set(map(repr, values))) < len(values):
        raise ValueError(f"{key}: OneOf has a value twice")
    if shipped not in values:
        raise ValueError(f"{key}: the shipped value {shipped!r:.60} is not one of {', '.join(map(repr, values))}")
    return Axis(key, shipped, choices=values)
