"""Best-of-n curves: what a search of n random trials would have found, exactly, over all orders of the trials that were made. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import comb

SHOWN = (1, 5, 10, 20)
"""Numbers of trials in tables."""
OUTSIDE = Fraction(1, 40)
"""Share of the orders below and above the interval."""


@dataclass(frozen=True)
class BestOf:
    """The best of n trials, over all orders.

    Attributes:
        trials: Number of trials, n.
        mean: Expected accuracy of the best one by score, in percent.
        low: 2.5 % quantile over the orders.
        high: 97.5 % quantile.
    """

    trials: int
    mean: float
    low: float
    high: float


def best_of(values: Sequence[float], count: int) -> BestOf:
    """Return what the best of ``count`` trials is worth.

    The best of a random subset of n of N trials is the k-th best of all with probability C(N - k, n - 1) / C(N, n).

    Args:
        values: The accuracy of each trial in percent, in the order of the scores, the best first.
        count: Number of trials in a subset, from 1 to that of all.
    """
    total = comb(len(values), count)
    chances = [Fraction(comb(len(values) - 1 - place, count - 1), total) for place in range(len(values))]
    mean = sum((chance * Fraction(value) for chance, value in zip(chances, values, strict=True)), Fraction(0))
    ordered = sorted(zip(values, chances, strict=True))
    below = list(accumulate(chance for _, chance in ordered))
    low, high = (ordered[bisect_left(below, share)][0] for share in (OUTSIDE, 1 - OUTSIDE))
    return BestOf(count, float(mean), low, high)


def curve(values: Sequence[float]) -> list[BestOf]:
    """Return the best of 1, 2, … trials, up to all; see ``best_of``."""
    return [best_of(values, count) for count in range(1, len(values) + 1)]


def shown(trials: int) -> list[int]:
    """Return the numbers of trials that a table shows for a search of this length."""
    return [*(count for count in SHOWN if count < trials), trials]
