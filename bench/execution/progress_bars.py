"""Live progress of many runs: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as LiveProgress

from bench.execution.worker import Ended, Told
from bench.records.record import Identity

if TYPE_CHECKING:
    from bench.execution.context import Progress

PLAIN_EVERY_SECONDS = 10.0
"""How often a run says where it is where the output is no terminal."""


def label(identity: Identity) -> str:
    """Return a short name of a run: method, changed settings, backbone, seed."""
    changed = ",".join(f"{key}={value}" for key, value in sorted(identity.settings.items()))
    return f"{identity.method}{f'+{changed}' if changed else ''} {identity.backbone} seed {identity.seed}"


class RunProgress:
    """Shows how far the runs are; use as a context manager and call it with what the runs tell.

    Args:
        console: Where to write.
        runs: How many runs there are.
        line: A run that ended and its seconds to the line that says so.
    """

    def __init__(self, console: Console, runs: int, line: Callable[[Ended, float], str]) -> None:
        self.console, self.line, self.ended = console, line, 0
        self.started: dict[str, float] = {}
        self.said: dict[str, float] = {}
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

    def __call__(self, told: Told) -> None:
        """Take in one thing that a run said."""
        name = label(told.identity)
        self.started.setdefault(name, time.monotonic())
        if isinstance(told.what, str):
            self._print(told.what)
        elif isinstance(told.what, Ended):
            self._end(name, told.what)
        else:
            self._move(name, told.what)

    def _move(self, name: str, progress: "Progress") -> None:
        state = _state(progress)
        if name not in self.bars:
            self.bars[name] = self.live.add_task(name, total=progress.total, state=state)
        self.live.update(self.bars[name], total=progress.total, completed=progress.done, state=state)
        now = time.monotonic()
        if not self.console.is_terminal and now - self.said.get(name, self.started[name]) >= PLAIN_EVERY_SECONDS:
            self.said[name] = now
            self._print(f"{name}: {progress.stage} {progress.done}/{progress.total} {state}".rstrip())

    def _end(self, name: str, ended: Ended) -> None:
        self.ended += 1
        if name in self.bars:
            self.live.remove_task(self.bars.pop(name))
        self.live.update(self.overall, completed=self.ended)
        seconds = time.monotonic() - self.started[name]
        self._print(self.line(ended, seconds))

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _state(progress: "Progress") -> str:
    if progress.stage != "pretrain":
        return progress.stage
    loss = "" if progress.loss is None else f"loss {progress.loss:.4g}"
    speed = "" if progress.images_per_s is None else f"{progress.images_per_s:,.0f} images/s"
    return "  ".join(part for part in (f"epoch {progress.epoch}/{progress.epochs}", loss, speed) if part)
