"""The summary of a search in the terminal, as Markdown, and as plain text for the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from bench.execution.time_left import duration
from bench.filenames import settings_text
from bench.printable import markdown
from bench.reports.numbers import NONE
from bench.reports.wide_table import PrintedColumn, name_text, text, wide_table
from bench.tuning.best_of import shown
from bench.tuning.order import Gain
from bench.tuning.score import BEST
from bench.tuning.summary import MethodSummary, Summary

SHIPPED = "shipped"


@dataclass(frozen=True)
class PlainTable:
    """A summary as text.

    Attributes:
        title: What was searched.
        headings: Headings of the table.
        rows: Its rows, one per method.
        legend: What the columns mean.
        findings: Whether the order of the methods changes.
        failures: The trials that failed, one line each.
        details: The winners' settings, one line each.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: tuple[str, ...]
    findings: tuple[str, ...]
    failures: tuple[str, ...]
    details: tuple[str, ...]


def plain(summary: Summary) -> PlainTable:
    """Return the summary as text."""
    counts = shown(summary.trials)
    columns = [column for column in ("knn", "linear") if any(_gain(m, column) for m in summary.methods)]
    headings = ["method", "failed", *(f"best of {count}" for count in counts), "winner"]
    headings += [f"{column} {what}" for column in columns for what in ("shipped", "tuned", "gain")]
    headings += ["runs", "time"]
    return PlainTable(
        title=title(summary),
        headings=tuple(headings),
        rows=tuple(tuple(_row(method, counts, columns)) for method in summary.methods),
        legend=tuple(_legend(summary, bool(columns))),
        findings=tuple(order.sentence() for order in summary.orders),
        failures=tuple(line for method in summary.methods for line in _failures(method)),
        details=tuple(_winner(method) for method in summary.methods),
    )


def title(summary: Summary) -> str:
    """Return what was searched, in one line."""
    return f"{summary.dataset}, {summary.backbone}, {summary.budget}: {summary.trials} trials of each method"


def to_screen(summary: Summary, width: int) -> RenderableType:
    """Return the summary for a terminal of ``width`` columns."""
    table = plain(summary)
    names = [PrintedColumn("method", tuple(name_text(row[0]) for row in table.rows))]
    columns = [
        PrintedColumn(heading.replace(" ", "\n"), tuple(text(row[at]) for row in table.rows))
        for at, heading in enumerate(table.headings)
        if at
    ]
    parts: list[RenderableType] = [text(table.title, "bold"), *wide_table(names, [columns], width, set())]
    parts += [text(line, "dim") for line in table.legend]
    for heading, lines in _sections(table):
        parts += [Text(), text(heading, "bold"), *(text(f"  {line}") for line in lines)]
    return Group(*parts)


def to_markdown(summary: Summary) -> str:
    """Return the summary in GitHub's Markdown, with every trial."""
    table = plain(summary)
    lines = [
        f"### {markdown(table.title)}",
        "",
        _line(table.headings),
        _line([":--", *["--:"] * (len(table.headings) - 1)]),
    ]
    lines += [_line([markdown(entry) for entry in row]) for row in table.rows]
    lines += ["", "  \n".join(map(markdown, table.legend))]
    for heading, entries in _sections(table):
        lines += ["", f"#### {heading}", "", *(f"- {markdown(entry)}" for entry in entries)]
    for method in summary.methods:
        lines += [
            "",
            f"#### Trials of {markdown(method.method)}",
            "",
            *(f"- {markdown(axis)}" for axis in method.space),
            "",
        ]
        lines += [
            _line(["trial", "settings", "status", "knn", "linear", "score", "seconds"]),
            _line(["--:", ":--", ":--", *["--:"] * 4]),
        ]
        for number, trial in enumerate(method.trials):
            found = [_score(trial.accuracy.get(name)) for name in ("knn", "linear")]
            what = markdown(settings_text(trial.settings) or SHIPPED)
            lines.append(_line([str(number), what, trial.status, *found, f"{trial.score:.1f}", f"{trial.seconds:.0f}"]))
    return "\n".join([*lines, ""])


def _sections(table: PlainTable) -> Iterator[tuple[str, Sequence[str]]]:
    for heading, lines in (
        ("Does the order of the methods change?", table.findings),
        ("Winners", table.details),
        ("Failed trials", table.failures),
    ):
        if lines:
            yield heading, lines


def _row(method: MethodSummary, counts: Sequence[int], columns: Sequence[str]) -> Iterator[str]:
    yield method.method
    yield str(len(method.failed))
    for count in counts:
        found = method.curve[count - 1]
        yield f"{found.mean:.1f}" + (f" ({found.low:.1f}–{found.high:.1f})" if found.low < found.high else "")
    yield NONE if method.winner is None else SHIPPED if method.winner == 0 else str(method.winner)
    for column in columns:
        found_gain = _gain(method, column)
        if found_gain is None:
            yield from (NONE, NONE, NONE)
            continue
        yield f"{found_gain.shipped:.1f}"
        yield f"{found_gain.tuned:.1f}"
        yield f"{found_gain.gain:+.1f} ({found_gain.low:+.1f} to {found_gain.high:+.1f})"
    yield str(method.runs)
    yield duration(method.seconds)


def _legend(summary: Summary, tested: bool) -> Iterator[str]:
    yield (
        f"Best of n: expected accuracy on the development task ({summary.measured_on}), the mean of knn and linear in percent, of the best of n "
        "trials by their score, with the interval of 95 % of all orders of the trials; a failed trial counts as a guess "
        f"({100 / summary.classes:.3g})."
    )
    yield (
        "Score: mean of the ranks of knn and linear among the trials of the method. Trial 0 is the shipped recipe, the others are points of a "
        f"scrambled Sobol sequence (seed {summary.seed}). Winner: of the {BEST} best trials, that with the best mean rank over three seeds."
    )
    if tested:
        yield "Shipped, tuned, gain: on the test images, which the search never reads, with the 95 % interval of the gain for this entry alone."
    yield "Runs, time: of the search, without those on the test images."


def _winner(method: MethodSummary) -> str:
    if method.winner is None:
        return f"{method.method}: no trial could be scored"
    trial = method.trials[method.winner]
    found = "the shipped recipe" if method.winner == 0 else settings_text(trial.settings)
    return f"{method.method}: {found}"


def _failures(method: MethodSummary) -> Iterator[str]:
    for number in method.failed:
        trial = method.trials[number]
        settings = settings_text(trial.settings) or SHIPPED
        yield f"{method.method}, trial {number} ({settings}): {trial.status}" + (
            f", {trial.cause}" if trial.cause else ""
        )


def _gain(method: MethodSummary, column: str) -> Gain | None:
    return next((gain for gain in method.gains if gain.column == column), None)


def _score(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _line(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"
