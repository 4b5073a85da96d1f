"""The table as it grows: a line a run that ended, under headings that are printed once; a block a run where columns do not fit."""

from collections.abc import Sequence

from bench.execution.progress_bars import label
from bench.execution.worker import Ended
from bench.planning.plan import PlannedRun
from bench.records.record import Identity, Measurement
from bench.records.store import Store

_NARROWEST = 6


class GrowingTable:
    """Lines of text for runs as they end: what they scored, in the columns of all protocols that are measured.

    Args:
        runs: The runs to come.
        store: Where their records lie.
        width: Characters of the screen's lines; where the columns do not fit, a run has a line for each protocol.
    """

    def __init__(self, runs: Sequence[PlannedRun], store: Store, width: int) -> None:
        self.store = store
        self.columns = list(dict.fromkeys(name for run in runs for name in (*run.recorded, *run.protocols)))
        self.total = len(runs)
        self.ended = 0
        self._width = max(len(label(run.identity)) for run in runs)
        self._count = len(str(self.total))
        self._fits = self._count * 2 + 4 + self._width + len(self._cells([""] * len(self.columns))) <= width

    def heading(self) -> list[str]:
        """Return the lines above the columns, none where those do not fit: a protocol's name has a line for each of its parts."""
        if not self._fits:
            return []
        parts = [name.split("-") for name in self.columns]
        height = max(map(len, parts), default=0)
        empty = " " * (self._count * 2 + 4 + self._width)
        lines = []
        for level in range(height):
            cells = [part[level] if level < len(part) else "" for part in parts]
            lines.append(empty + self._cells(cells))
        return lines

    def line(self, ended: Ended, seconds: float) -> str:
        """Return the line of a run that ended just now."""
        self.ended += 1
        start = f"[{self.ended:>{self._count}}/{self.total}] {label(ended.identity):<{self._width}}"
        cause = f": {ended.cause}" if ended.cause else ""
        scores, end = self._scores(ended.identity), f"  {ended.status}{cause} ({seconds:.0f} s)"
        if self._fits:
            return f"{start}{self._cells(scores)}{end}"
        return "\n".join(
            [start.rstrip() + end, *(f"  {score:>6}  {name}" for name, score in zip(self.columns, scores, strict=True))]
        )

    def _scores(self, identity: Identity) -> list[str]:
        record = self.store.read(identity)
        measured = record.protocols if record is not None and record.identity == identity else {}
        return [_score(name, measured.get(name)) for name in self.columns]

    def _cells(self, cells: Sequence[str]) -> str:
        return "".join(
            f" {cell:>{max(_NARROWEST, *map(len, name.split('-')))}}"
            for name, cell in zip(self.columns, cells, strict=True)
        )


def _score(name: str, measurement: Measurement | None) -> str:
    if measurement is None:
        return "–"
    if measurement.same_as:
        return "="
    if "top1" in measurement.metrics:
        return f"{100 * measurement.metrics['top1']:.1f}"
    return f"{measurement.metrics[name]:.3g}"
