"""Stratified splits: a fifth of ``train`` as a missing test part, and a tenth of ``train`` as ``val``."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from bench.data.raw import Labels
from bench.errors import SslbenchError
from bench.seeds import derive

SEED = 0
"""Seed of all splits and label sets, the same for every run."""
TEST = Fraction(1, 5)
VAL = Fraction(1, 10)


def stratified(labels: Labels, part: Fraction, purpose: str, class_names: Sequence[str]) -> tuple[Labels, Labels]:
    """Split positions class by class, rounded half up, with at least one image per class on each side.

    Args:
        labels: int64 N.
        part: Share of each class that is taken out.
        purpose: ``test`` or ``val``: selects the random numbers, and names the part in an error.
        class_names: Class names; a label is an index into them.

    Returns:
        The positions that remain and the positions taken out; each ascending, together 0 to N − 1.

    Raises:
        SslbenchError: A class has fewer than two images.
    """
    taken = np.zeros(len(labels), bool)
    for label, name in enumerate(class_names):
        positions = np.flatnonzero(labels == label)
        count = at_least_one(len(positions), part)
        if count >= len(positions):
            raise SslbenchError(
                f"class {name} has too few training images ({len(positions)}) to split off a {purpose} part: add images of it"
            )
        taken[positions[permutation(len(positions), "split", purpose, label)[:count]]] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def folds(labels: Labels, count: int, class_names: Sequence[str]) -> Labels:
    """Return the fold of each position, from 0: class by class, each fold gets the same number of images up to one.

    Args:
        labels: int64 N.
        count: Number of folds.
        class_names: Class names; a label is an index into them.

    Raises:
        SslbenchError: A class has fewer images than there are folds.
    """
    result = np.zeros(len(labels), np.int64)
    placed = 0
    for label, name in enumerate(class_names):
        positions = np.flatnonzero(labels == label)
        if len(positions) < count:
            raise SslbenchError(
                f"class {name} has {len(positions)} training images, fewer than {count} folds: add images of it"
            )
        # The next class goes on where this one ended, so that the folds have the same size.
        result[positions[permutation(len(positions), "folds", label)]] = (placed + np.arange(len(positions))) % count
        placed += len(positions)
    return result


def at_least_one(count: int, part: Fraction) -> int:
    """Return a part of a count, rounded half up, at least one."""
    return max(1, int(count * part + Fraction(1, 2)))


def permutation(count: int, *purpose: str | int) -> Labels:
    """Return a permutation of ``count`` positions, the same on every machine and with every version of numpy.

    numpy guarantees only the raw bits of its generators across versions (NEP 19), so they are sorted here.
    """
    keys = np.random.PCG64(derive(SEED, *purpose)).random_raw(count)
    return np.argsort(keys, kind="stable").astype(np.int64)
