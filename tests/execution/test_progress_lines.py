"""Live lines of the runs on narrow and wide terminals, and the time left."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from bench.execution import progress_bars
from bench.execution.events import RunEnded, RunUpdate
from bench.execution.progress_bars import RunProgress, fitted
from bench.execution.time_left import TimeLeft, duration, run_name
from bench.records.record import Identity
from bench.training.context import Progress

IDENTITY = Identity("digits", "f00d", "test", "barlow_twins", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
PROGRESS = Progress("pretrain", 120, 300, epoch=24, epochs=60, loss=123.4, images_per_s=4712.0)


def shown(width: int, *, terminal: bool, settings: dict[str, float] | None = None) -> list[str]:
    """The lines while a run is trained."""
    console = Console(file=StringIO(), width=width, force_terminal=terminal, color_system=None, legacy_windows=False)
    identity = replace(IDENTITY, settings=settings or {})
    time_left = TimeLeft({run_name(identity): 600.0}, jobs=1)
    progress = RunProgress(console, 44, lambda event, seconds: f"{event.identity.method} ok", time_left)
    progress(RunUpdate(identity, PROGRESS))
    with console.capture() as captured:
        console.print(progress.live.get_renderable())
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.123456789, "min_scale": 0.0123456789}])
def test_live_lines_fit_the_terminal_and_show_how_far_the_run_is(width, settings):
    lines = shown(width, terminal=True, settings=settings)
    assert len(lines) == 2
    overall, run = lines
    assert max(map(len, lines)) <= width
    assert "0/44" in overall
    assert "40 %" in run


def test_in_80_columns_the_time_left_the_epoch_and_the_name_are_shown():
    overall, run = shown(80, terminal=True)
    assert "about 10 min left" in overall
    assert run.startswith("barlow_twins resnet9_slim seed 0")
    assert "epoch 24/60" in run


def test_the_most_important_part_of_a_line_is_never_cut():
    assert fitted("a long name of a run", ["40 %", "epoch 3/4", "loss 1.2"], 16) == "a long na…  40 %"
    assert fitted("short", ["40 %", "epoch 3/4", "loss 1.2"], 100) == "short  40 %  epoch 3/4  loss 1.2"
    assert fitted("short", ["40 %", "much too long for this line", "loss 1.2"], 24) == "short  40 %  loss 1.2"


def test_without_a_terminal_only_long_runs_show_progress(monkeypatch):
    def lines_after(seconds):
        clock = iter([0.0, *[seconds] * 20])
        monkeypatch.setattr(progress_bars.time, "monotonic", lambda: next(clock))
        console = Console(file=StringIO(), width=80)
        progress = RunProgress(console, 1, lambda event, _: "ended", TimeLeft({run_name(IDENTITY): 600.0}, 1))
        progress(RunUpdate(IDENTITY, PROGRESS))
        progress(RunEnded(IDENTITY, "ok", None))
        assert isinstance(console.file, StringIO)
        return console.file.getvalue().splitlines()

    assert lines_after(20.0) == ["ended"]
    first, last = lines_after(70.0)
    assert "120/300 epoch 24/60" in first
    assert "left for all runs" in first
    assert last == "ended"


def test_hostile_text_of_a_run_is_printed_as_escapes():
    console = Console(file=StringIO(), width=80)
    progress = RunProgress(console, 1, lambda event, _: "ended \x1b]0;owned\x07", TimeLeft({}, 1))
    progress(RunUpdate(IDENTITY, "a class named \x1b[31mred\u202e"))
    progress(RunEnded(IDENTITY, "failed", "boom"))
    assert isinstance(console.file, StringIO)
    assert "\x1b" not in console.file.getvalue()
    assert "\\x1b[31mred\\u202e" in console.file.getvalue()


def test_the_time_left_follows_how_long_the_ended_runs_took():
    identities = [replace(IDENTITY, seed=seed) for seed in range(10)]
    left = TimeLeft({run_name(identity): 100.0 for identity in identities}, jobs=2)
    assert left.seconds(0.0) == 500.0
    for number, identity in enumerate(identities[:8]):
        left.start(identity, 300.0 * number)
        left.end(identity, 300.0 * number + 300.0)
    # Two runs remain, side by side; eight took three times as long as estimated.
    assert 200.0 < left.seconds(2400.0) < 300.0
    left.start(identities[8], 2400.0)
    left.start(identities[9], 2400.0)
    assert left.seconds(2500.0) < left.seconds(2400.0)
    for identity in identities[8:]:
        left.end(identity, 2700.0)
    assert left.seconds(2700.0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (4800, "1 h 20 min"),
        (86400, "1 day 0 h"),
        (200000, "2 days 7 h"),
    ],
)
def test_durations_are_written_in_words(seconds, text):
    assert duration(seconds) == text
