"""Progress of many runs: bars on a terminal, plain lines otherwise."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as LiveProgress

from bench.execution.events import RunEnded, RunUpdate
from bench.records.record import Identity
from bench.training.context import Progress

PLAIN_EVERY_SECONDS = 10.0
"""Time between two progress lines of a run if the output is not a terminal."""


def label(identity: Identity) -> str:
    """Return a short name of a run: method, changed settings, backbone, seed."""
    changed = ",".join(f"{key}={value}" for key, value in sorted(identity.settings.items()))
    return f"{identity.method}{f'+{changed}' if changed else ''} {identity.backbone} seed {identity.seed}"


class RunProgress:
    """Shows the progress of the runs; use it as a context manager and call it with each event of a run.

    Args:
        console: Where to print.
        runs: Number of runs.
        line: (event, seconds) -> the line that is printed when a run has ended.
    """

    def __init__(self, console: Console, runs: int, line: Callable[[RunEnded, float], str]) -> None:
        self.console, self.line, self.ended = console, line, 0
        self.started: dict[str, float] = {}
        self.printed: dict[str, float] = {}
        self.bars: dict[str, TaskID] = {}
        self.live = LiveProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}", style="dim"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.overall = self.live.add_task("[bold]all runs", total=runs, state="")

    def __enter__(self) -> "RunProgress":
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def __call__(self, event: RunUpdate | RunEnded) -> None:
        """Show one event of a run."""
        name = label(event.identity)
        self.started.setdefault(name, time.monotonic())
        if isinstance(event, RunEnded):
            self._end(name, event)
        elif isinstance(event.content, str):
            self._print(event.content)
        else:
            self._move(name, event.content)

    def _move(self, name: str, progress: Progress) -> None:
        state = _state(progress)
        if name not in self.bars:
            self.bars[name] = self.live.add_task(name, total=progress.total, state=state)
        self.live.update(self.bars[name], total=progress.total, completed=progress.done, state=state)
        now = time.monotonic()
        last = self.printed.get(name, self.started[name])
        if not self.console.is_terminal and now - last >= PLAIN_EVERY_SECONDS:
            self.printed[name] = now
            self._print(f"{name}: {progress.stage} {progress.done}/{progress.total} {state}".rstrip())

    def _end(self, name: str, event: RunEnded) -> None:
        self.ended += 1
        if name in self.bars:
            self.live.remove_task(self.bars.pop(name))
        self.live.update(self.overall, completed=self.ended)
        self._print(self.line(event, time.monotonic() - self.started[name]))

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _state(progress: Progress) -> str:
    if progress.stage != "pretrain":
        return progress.stage
    loss = "" if progress.loss is None else f"loss {progress.loss:.4g}"
    speed = "" if progress.images_per_s is None else f"{progress.images_per_s:,.0f} images/s"
    return "  ".join(part for part in (f"epoch {progress.epoch}/{progress.epochs}", loss, speed) if part)
