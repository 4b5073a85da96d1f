"""Search spaces: what ``sslbench tune`` may change of a method, declared next to its recipe before any result is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_DIMENSIONS = 4
"""Largest number of dimensions of a search space."""


@dataclass(frozen=True)
class Times:
    """Multiples of the shipped value on a logarithmic scale, so that one range fits every recipe.

    Attributes:
        low: Smallest factor.
        high: Largest factor.
        at_most: Largest value, whatever the shipped one is; None for no such limit.
    """

    low: float
    high: float
    at_most: float | None = None


@dataclass(frozen=True)
class Between:
    """All values between two ends, which belong to the range.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether the scale is logarithmic.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class OneOf:
    """A few values: texts, numbers, truth values or None."""

    values: tuple[Any, ...]


Dimension = Times | Between | OneOf
Space = Mapping[str, Dimension]
"""Name of a setting, as ``--set`` takes it (``temperature``, ``recipe.rate``), to its range; at most four dimensions."""

RATE = Times(1 / 8, 8)
"""Peak learning rate: from an eighth to eight times the recipe's."""
DECAY = Times(1 / 10, 100, at_most=0.5)
"""Weight decay: the recipes of convolutional networks have practically none, so that there is more room above than below."""
DECAY_FROM_NONE = OneOf((0.0, 1e-6, 1e-5, 1e-4, 1e-3))
"""Weight decay of a recipe that has none."""
CROP = Between(0.05, 0.6)
"""Smallest crop of two-view augmentations, as a fraction of the area: published recipes have 0.08 and 0.2."""
TEMPERATURE = Between(0.05, 1.0, log=True)
"""Temperature of a contrastive loss [SimCLR, table 5: 0.05 to 1]."""
TEACHER = OneOf((0.9, 0.95, 0.98, 0.99, 0.996, 0.999))
"""Momentum of a teacher at the start [BYOL, table 5a: 0.9 to 0.999]."""
