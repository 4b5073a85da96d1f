"""The settings that a search tries: the shipped recipe, then the points of a scrambled Sobol sequence."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import SslbenchError
from bench.registry.search_space import Axis, rounded

if TYPE_CHECKING:
    import optuna

SEED = 18
"""Seed of the scrambling, the same for every method and every user."""
MISSING = "sslbench tune needs optuna: pip install 'sslbench[tune]'"
Point = dict[str, Any]
"""Name of a setting to its value."""


def check_optuna() -> None:
    """Raise SslbenchError if Optuna cannot be imported."""
    try:
        import optuna
    except ImportError as error:
        raise SslbenchError(f"{MISSING} ({error})" if error.name != "optuna" else MISSING) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def points(axes: Sequence[Axis], count: int) -> list[Point]:
    """Return the settings of the first ``count`` trials.

    They depend on the space alone: not on results, nor on how many processes search, and a longer search begins with the points of a
    shorter one. The first is the shipped recipe.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(sampler=sampler())
    shipped = {axis.key: axis.shipped for axis in axes}
    study.enqueue_trial(shipped)
    asked = [study.ask(distributions(axes)).params for _ in range(count)]
    return [shipped, *(_rounded(point, axes) for point in asked[1:])]


def sampler() -> "optuna.samplers.BaseSampler":
    """Return the sampler of the Sobol sequence."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.QMCSampler(scramble=True, seed=SEED, warn_independent_sampling=False)


def distributions(axes: Sequence[Axis]) -> "dict[str, optuna.distributions.BaseDistribution]":
    """Return the axes in Optuna's form."""
    import optuna

    found: dict[str, optuna.distributions.BaseDistribution] = {}
    for axis in axes:
        if axis.choices:
            found[axis.key] = optuna.distributions.CategoricalDistribution(axis.choices)
        else:
            assert axis.low is not None and axis.high is not None
            found[axis.key] = optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
    return found


def _rounded(point: Point, axes: Sequence[Axis]) -> Point:
    """Return a point with short numbers, as they stand in records and in names of folders."""
    return {axis.key: point[axis.key] if axis.choices else rounded(point[axis.key], axis) for axis in axes}
