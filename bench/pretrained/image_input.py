"""How images are prepared for an encoder from elsewhere: size and normalisation, by its own configuration or by ``--set``."""

import math
from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Interval

from bench.errors import SslbenchError
from methods.base import InputSpec
from methods.ranges import Fraction, PositiveFraction
from methods.traits import Traits

LARGEST = 2048
"""Largest side of an image, in pixels."""
OF_THE_DATA_SET = "the data set's; if it was trained with others, give them by --set mean=… --set std=…"
"""Note on mean and standard deviation that nothing but the data set gives."""
Side = Annotated[int, Interval(ge=1, le=LARGEST)]


@dataclass(frozen=True)
class PretrainedSettings:
    """Settings of an encoder pretrained elsewhere.

    Attributes:
        size: Side in pixels that images are resized to; None for the data set's size if the network accepts it.
        mean: Mean that is subtracted from pixels in [0, 1], one number per channel or one for all; None for the default of this kind of encoder.
        std: Standard deviation by which they are then divided, likewise. ``mean`` and ``std`` are given together.
        saw: Images that it was pretrained on, for example ``imagenet``: the row is marked with it. Results do not depend on it.
    """

    size: Side | None = None
    mean: Fraction | tuple[Fraction, ...] | None = None
    std: PositiveFraction | tuple[PositiveFraction, ...] | None = None
    saw: str | None = None


def checked_input(spec: InputSpec, where: str) -> InputSpec:
    """Return an input that can be used; raises SslbenchError if size, channels, mean or standard deviation make no sense."""
    if not 1 <= spec.size <= LARGEST:
        raise SslbenchError(f"{where}: images of {spec.size} pixels; the size must be between 1 and {LARGEST}")
    if spec.channels not in (1, 3) or not len(spec.mean) == len(spec.std) == spec.channels:
        raise SslbenchError(
            f"{where}: takes {spec.channels} channels, with {len(spec.mean)} means and {len(spec.std)} standard deviations; "
            "it must be 1 or 3 channels, with one of each per channel"
        )
    if not all(math.isfinite(value) for value in (*spec.mean, *spec.std)) or min(spec.std) <= 0:
        raise SslbenchError(f"{where}: mean and std must be finite numbers, and std above 0")
    return spec


def chosen_input(
    default: InputSpec, whose: str, settings: PretrainedSettings, traits: Traits, where: str
) -> tuple[InputSpec, str]:
    """Return the input with the mean and standard deviation of the settings, and a note that tells what images are normalised by.

    Args:
        default: The input without settings; its size and channels are kept.
        whose: Where the default mean and standard deviation come from, for the note.
        settings: What ``--set`` gives.
        traits: The data set's.
        where: The encoder's name, for messages.

    Raises:
        SslbenchError: ``mean`` and ``std`` are not given together, have a wrong number of values, or are not for pixels in [0, 1]; or the
            images have more channels than the network takes.
    """
    spec = default
    if settings.mean is not None or settings.std is not None:
        if settings.mean is None or settings.std is None:
            raise SslbenchError(f"{where}: give mean and std together: --set mean=… --set std=…")
        whose = "given by --set"
        spec = replace(
            spec,
            mean=_per_channel("mean", settings.mean, spec.channels, where),
            std=_per_channel("std", settings.std, spec.channels, where),
        )
        if not all(0 <= value <= 1 for value in spec.mean) or not all(0 < value <= 1 for value in spec.std):
            raise SslbenchError(
                f"{where}: mean must be between 0 and 1 and std above 0 and at most 1: pixels are scaled to [0, 1] "
                "(divide values for pixels up to 255 by 255)"
            )
    checked_input(spec, where)
    if traits.channels > spec.channels:
        raise SslbenchError(f"{where}: takes grey images; the data set's have {traits.channels} channels")
    note = (
        f"images of {spec.size} pixels, normalised by mean {_numbers(spec.mean)} and std {_numbers(spec.std)}: {whose}"
    )
    return spec, note


def _per_channel(key: str, value: float | tuple[float, ...], channels: int, where: str) -> tuple[float, ...]:
    values = tuple(map(float, value)) if isinstance(value, tuple) else (float(value),)
    if len(values) == 1:
        values *= channels
    if len(values) != channels:
        raise SslbenchError(f"{where}: --set {key} has {len(values)} numbers; the network takes {channels} channels")
    return values


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
