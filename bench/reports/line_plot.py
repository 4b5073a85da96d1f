"""A curve as text, drawn with braille characters of 4 × 2 dots."""

import math
from collections.abc import Sequence

DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
LONGEST = 100
"""Largest width of a plot in characters."""


def draw(steps: Sequence[float], values: Sequence[float], width: int, height: int) -> str:
    """Return a curve of ``height`` lines, with its minimum and maximum on the left and its first and last step below.

    Args:
        steps: The step of each value; without steps, the index of the value.
        values: The curve; values that are not finite are left out and counted below.
        width: Width of the whole plot in characters.
        height: Height of the curve in lines.
    """
    steps = steps if len(steps) == len(values) else range(len(values))
    points = [(x, y) for x, y in zip(steps, values, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return "no finite value"
    low, high = min(y for _, y in points), max(y for _, y in points)
    labels = [f"{high:.4g}", f"{low:.4g}"]
    margin = max(map(len, labels))
    columns = max(8, min(width, LONGEST) - margin - 2)
    grid = _dots(points, (low, high), columns, height)
    lines = []
    for row in range(height):
        label = labels[0] if row == 0 else labels[1] if row == height - 1 else ""
        lines.append(f"{label:>{margin}} ┤" + "".join(chr(0x2800 + dots) for dots in grid[row]))
    first, last = f"{points[0][0]:,.0f}", f"{points[-1][0]:,.0f}"
    lines.append(" " * (margin + 2) + first + f"step {last}".rjust(columns - len(first)))
    if len(points) < len(values):
        lines.append(f"{len(values) - len(points)} values are not finite")
    return "\n".join(lines)


def _dots(
    points: Sequence[tuple[float, float]], limits: tuple[float, float], columns: int, height: int
) -> list[list[int]]:
    """Return the braille dots of each character, ``height`` rows of ``columns``."""
    (start, _), (end, _) = points[0], points[-1]
    low, high = limits
    grid = [[0] * columns for _ in range(height)]
    previous = None
    for x, y in points:
        column = round(_fraction(x, start, end) * (2 * columns - 1))
        row = round(_fraction(y, high, low) * (4 * height - 1))
        for filled_column, filled_row in _line(previous or (column, row), (column, row)):
            grid[filled_row // 4][filled_column // 2] |= DOTS[filled_column % 2][filled_row % 4]
        previous = (column, row)
    return grid


def _fraction(value: float, start: float, end: float) -> float:
    """Return the position of a value between two, in [0, 1]; halves do not overflow."""
    length = end / 2 - start / 2
    return min(1.0, max(0.0, (value / 2 - start / 2) / length)) if length else 0.0


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the dots on the line between two dots."""
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (round(start[0] + (end[0] - start[0]) * i / length), round(start[1] + (end[1] - start[1]) * i / length))
        for i in range(length + 1)
    ]
