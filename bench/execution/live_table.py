"""Table of scores that gets one row whenever a run ends; on a narrow screen one line per protocol."""

from collections.abc import Mapping, Sequence

from bench.execution.events import RunEnded
from bench.execution.progress_bars import label
from bench.planning.plan import PlannedRun
from protocols.catalogue import resolve

EQUAL = "=: exactly the same label sets as another protocol, so its score is the same and is not measured twice"
_MIN_WIDTH = 6
"""Smallest width of a column in characters."""
_END_WIDTH = len("  ok (1234 s)")
"""Width of the end of a line in characters."""


class LiveTable:
    """Formats the scores of runs that ended, with one column per protocol of the planned runs.

    Args:
        runs: The planned runs.
        width: Width of the screen in characters; if the table does not fit, a run has one line per protocol.
    """

    def __init__(self, runs: Sequence[PlannedRun], width: int) -> None:
        self.columns = list(dict.fromkeys(name for run in runs for name in (*run.recorded, *run.protocols)))
        self.total = len(runs)
        self.ended = 0
        self._explained = False
        self._width = max(len(label(run.identity)) for run in runs)
        self._count = len(str(self.total))
        needed = self._count * 2 + 4 + self._width + len(self._row([""] * len(self.columns))) + _END_WIDTH
        self._fits = needed <= width

    def heading(self) -> list[str]:
        """Return the heading, with one line for each part of the protocols' ids; nothing if the columns do not fit."""
        if not self._fits:
            return []
        parts = [name.split("-") for name in self.columns]
        height = max(map(len, parts), default=0)
        empty = " " * (self._count * 2 + 4 + self._width)
        return [
            empty + self._row([part[level] if level < len(part) else "" for part in parts]) for level in range(height)
        ]

    def line(self, event: RunEnded, seconds: float) -> str:
        """Return the line of a run that has just ended."""
        self.ended += 1
        start = f"[{self.ended:>{self._count}}/{self.total}] {label(event.identity):<{self._width}}"
        cause = f": {event.cause}" if event.cause else ""
        scores, end = self._scores(event.metrics), f"  {event.status}{cause} ({seconds:.0f} s)"
        if "=" in scores and not self._explained:
            self._explained = True
            end += f"\n  {EQUAL}"
        if self._fits:
            return f"{start}{self._row(scores)}{end}"
        lines = [f"  {score:>6}  {name}" for name, score in zip(self.columns, scores, strict=True)]
        return "\n".join([start.rstrip() + end, *lines])

    def _scores(self, metrics: Mapping[str, Mapping[str, float]]) -> list[str]:
        return [_score(name, metrics.get(name)) for name in self.columns]

    def _row(self, entries: Sequence[str]) -> str:
        return "".join(
            f" {entry:>{max(_MIN_WIDTH, *map(len, name.split('-')))}}"
            for name, entry in zip(self.columns, entries, strict=True)
        )


def _score(name: str, metrics: Mapping[str, float] | None) -> str:
    if metrics is None:
        return "–"
    if not metrics:  # the same label sets as another protocol
        return "="
    if "top1" in metrics:
        return f"{100 * metrics['top1']:.1f}"
    measure = name if name in metrics else resolve(name).metric
    return f"{metrics[measure]:.3g}" if measure is not None and measure in metrics else "–"
