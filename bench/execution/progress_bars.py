"""Progress of many runs: live lines on a terminal; otherwise plain lines for long runs only."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import Progress as LiveProgress
from rich.progress import ProgressColumn, Task, TaskID
from rich.text import Text

from bench.execution.events import RunEnded, RunUpdate
from bench.execution.time_left import TimeLeft, duration
from bench.filenames import settings_text
from bench.printable import printable, printable_lines
from bench.records.record import Identity, watched_text
from bench.training.context import Progress

PLAIN_EVERY_SECONDS = 60.0
"""Time until the first progress line of a run, and between two of them, if the output is not a terminal."""
LONGEST_NAME = 60
"""Largest number of characters of a run's name in a live line."""


def label(identity: Identity) -> str:
    """Return a short name of a run: method, changed settings, backbone, seed."""
    changed = f"+{settings_text(identity.settings)}" if identity.settings else ""
    return f"{identity.method}{changed} {identity.backbone} seed {identity.seed}"


def fitted(name: str, parts: list[str], width: int) -> str:
    """Return a line of at most ``width`` characters: the first part always, the others in order as long as they fit.

    The name is cut before the first part would be.
    """
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    first, *others = parts or [""]
    room = width - len(first) - 2
    if len(name) > room:
        name = f"{name[: max(0, room - 1)]}…"
    line = f"{name}  {first}".rstrip()
    for part in others:
        if part and len(line) + 2 + len(part) <= width:
            line = f"{line}  {part}"
    return line[: max(1, width)]


class RunProgress:
    """Shows the progress of the runs; use it as a context manager and call it with each event of a run.

    Args:
        console: Where to print.
        runs: Number of runs.
        line: (event, seconds) -> the line that is printed when a run has ended.
        time_left: Time left over all runs.
    """

    def __init__(
        self, console: Console, runs: int, line: Callable[[RunEnded, float], str], time_left: TimeLeft
    ) -> None:
        self.console, self.line, self.ended, self.time_left = console, line, 0, time_left
        self.started: dict[str, float] = {}
        self.printed: dict[str, float] = {}
        self.lines: dict[str, TaskID] = {}
        self.live = LiveProgress(
            _Line(console, self._left), console=console, disable=not console.is_terminal, transient=True
        )
        self.overall = self.live.add_task("all runs", total=runs, state="", whole=True)

    def __enter__(self) -> "RunProgress":
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def __call__(self, event: RunUpdate | RunEnded) -> None:
        """Show one event of a run."""
        name, now = label(event.identity), time.monotonic()
        if name not in self.started:
            self.started[name] = now
            self.time_left.start(event.identity, now)
        if isinstance(event, RunEnded):
            self.time_left.end(event.identity, now)
            self._end(name, event)
        elif isinstance(event.content, str):
            self._print(event.content)
        else:
            self._move(name, event.content)

    def _move(self, name: str, progress: Progress) -> None:
        state = _state(progress)
        if name not in self.lines:
            self.lines[name] = self.live.add_task(printable(name), total=progress.total, state=state, whole=False)
        self.live.update(self.lines[name], total=progress.total, completed=progress.done, state=state)
        now = time.monotonic()
        last = self.printed.get(name, self.started[name])
        if not self.console.is_terminal and now - last >= PLAIN_EVERY_SECONDS:
            self.printed[name] = now
            self._print(f"{name}: {progress.done}/{progress.total} {state}; {self._left()} for all runs".rstrip())

    def _end(self, name: str, event: RunEnded) -> None:
        self.ended += 1
        if name in self.lines:
            self.live.remove_task(self.lines.pop(name))
        self.live.update(self.overall, completed=self.ended)
        self._print(self.line(event, time.monotonic() - self.started[name]))

    def _left(self) -> str:
        return f"about {duration(self.time_left.seconds(time.monotonic()))} left"

    def _print(self, line: str) -> None:
        self.console.print(printable_lines(line), markup=False, highlight=False, soft_wrap=True)


class _Line(ProgressColumn):
    """A task in one line that fits the terminal: the name, how far it is, and what else there is room for."""

    def __init__(self, console: Console, left: Callable[[], str]) -> None:
        super().__init__()
        self._console, self._left = console, left

    def render(self, task: Task) -> Text:
        """Return the line of a task."""
        done = f"{task.completed:,.0f}/{task.total or 0:,.0f}"
        if task.fields["whole"]:
            passed = f"{duration(task.elapsed or 0)} so far"
            return Text(
                fitted(task.description, [done, self._left(), passed], self._console.width), "bold", no_wrap=True
            )
        percent = f"{task.percentage:3.0f} %"
        return Text(
            fitted(task.description, [percent, *task.fields["state"].split("  "), done], self._console.width),
            no_wrap=True,
        )


def _state(progress: Progress) -> str:
    if progress.stage != "pretrain":
        return progress.stage
    loss = "" if progress.loss is None else f"loss {progress.loss:.4g}"
    speed = "" if progress.images_per_s is None else f"{progress.images_per_s:,.0f} images/s"
    watched = watched_text(progress.watched)
    return "  ".join(part for part in (f"epoch {progress.epoch}/{progress.epochs}", loss, *watched, speed) if part)
