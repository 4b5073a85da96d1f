"""Strides that fit small images: which stages of a network halve the map, and whether its stem does."""

SMALLEST_MAP = 3
"""A stage halves the map only while it keeps this many pixels a side, so that 8 pixels end as 4×4 and 28 as 3×3.

On digits' development task, 2×2 costs SimCLR five points with one label a class."""

LARGEST_WITHOUT_STEM_STRIDE = 64
"""Up to this many pixels the stem keeps the image's resolution [SimCLR, appendix B.9]."""


def stage_strides(size: int, stages: int) -> tuple[int, ...]:
    """Return 2 or 1 for each of ``stages`` that would halve a map of ``size`` pixels a side."""
    strides = []
    for _ in range(stages):
        stride = 2 if size // 2 >= SMALLEST_MAP else 1
        size //= stride
        strides.append(stride)
    return tuple(strides)
