"""Strides that fit small images: which stages of a network halve the map, and whether its stem does."""

SMALLEST_MAP = 2
"""A stage halves the map only while it keeps this many pixels a side: at 8 pixels a fourth halving would leave nothing."""

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
