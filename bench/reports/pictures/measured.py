"""What was measured, in words, and the numbers of a plot rounded."""

from collections.abc import Iterable, Sequence

from bench.leaderboard.tables import Column, Row, Table

DIGITS = 4
"""Significant digits of the numbers in a plot."""


def rounded(value: float | None) -> float | None:
    """Return a number with four significant digits, or None; whole numbers become integers, which are shorter."""
    if value is None:
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def measured_on(table: Table, rows: Sequence[Row], columns: Iterable[Column]) -> str:
    """Return a sentence on the images, the seeds and the draws of the label sets behind some scores of a table."""
    kind = "validation" if table.task == "val" else "test"
    images = f"{table.images:,} {kind} images" if table.images else f"{kind} images"
    draws = sorted({len(r.answers[c.id].by_draw) for c in columns for r in rows if c.id in r.answers})
    text = f"Measured on {images} with {_range([len(r.seeds) for r in rows], 'seed')} per row"
    if draws and draws[-1] > 1:
        text += f" and {_range(draws, 'draw')} of the label set"
    return text + "."


def _range(counts: Sequence[int], noun: str) -> str:
    least, most = min(counts), max(counts)
    number = f"{least}" if least == most else f"{least} to {most}"
    return f"{number} {noun}{'' if most == 1 else 's'}"
