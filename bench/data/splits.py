"""Stratified parts: the fifth that stands in for a missing test part, and the tenth of ``train`` that is ``val``."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from bench.data.raw import Labels
from bench.errors import SslbenchError
from bench.seeds import derive

SEED = 0
"""The seed of every split and label set: the same for every run."""
TEST = Fraction(1, 5)
VAL = Fraction(1, 10)


def stratified(labels: Labels, part: Fraction, purpose: str, class_names: Sequence[str]) -> tuple[Labels, Labels]:
    """Split positions by class: half rounds up, at least one image a class in each half.

    Args:
        labels: int64 N.
        part: What goes into the second half.
        purpose: ``test`` or ``val``: names the random numbers, and the part in an error.
        class_names: In the order of the labels.

    Returns:
        The positions that stay, and those that go; each ascending, together 0 to N − 1.

    Raises:
        SslbenchError: A class has fewer than two images; it is named.
    """
    taken = np.zeros(len(labels), bool)
    for label, name in enumerate(class_names):
        positions = np.flatnonzero(labels == label)
        count = at_least_one(len(positions), part)
        if count >= len(positions):
            raise SslbenchError(
                f"class {name} has {len(positions)} images of train, too few to set some apart for {purpose}: add images of it"
            )
        taken[positions[permutation(len(positions), "split", purpose, label)[:count]]] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def at_least_one(count: int, part: Fraction) -> int:
    """Return a part of a count, rounded half up, never below one."""
    return max(1, int(count * part + Fraction(1, 2)))


def permutation(count: int, *purpose: str | int) -> Labels:
    """Return a permutation of ``count`` positions, the same on every machine and with every version of numpy.

    Only the raw bits of numpy's generators are promised to stay (NEP 19), so they are sorted here.
    """
    keys = np.random.PCG64(derive(SEED, *purpose)).random_raw(count)
    return np.argsort(keys, kind="stable").astype(np.int64)
