"""Ranges of the protocols' constants, for ids with changed constants such as ``knn@k=5``; imports no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Gt, Interval, MinLen

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Interval(ge=0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Interval(ge=1, le=1_000_000)]

RANGES: Mapping[str, Any] = {
    "k": Count,
    "other_k": tuple[Count, ...],
    "temperature": Positive,
    "shared": NotNegative,
    "penalty": Positive,
    "penalties": Annotated[tuple[Positive, ...], MinLen(1)],
    "tolerance": Positive,
    "epochs": Count,
    "batch": Count,
    "rate": Positive,
    "images": Count,
    "head": Literal["linear", "mlp", "conv"],
    "start": Literal["zero", "probe"],
    "encoder": Literal["pretrained", "scratch"],
    "threshold": Fraction,
    "begin": Fraction,
    "ramp": Fraction,
}
"""Type and range of each constant by its name, the same for all protocols; those of a classifier's training are in ``Training``."""
