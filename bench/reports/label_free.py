"""Label-free figures against accuracy as text: for the terminal, and as markdown for the notes on committed results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from bench.leaderboard.label_free import FEWEST, Correlation, OverMethods, WithinMethod, over_methods, within_methods
from bench.leaderboard.tables import Leaderboard, Table
from bench.printable import markdown
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.row_records import by_row, current
from bench.reports.wide_table import PrintedColumn, name_text, text, wide_table

OVER = ("figure", "against", "correlation", "95 % interval", "chosen by it", "points below the best")
WITHIN = ("method", "loss against", "runs", "correlation", "95 % interval", "settings that differ")
AS_DECLARED = "Clear (the interval excludes 0) and in the declared direction"
UNDIRECTED = "Clear, for a figure without a direction"
SURPRISING = "Surprising, cause unknown: clear, but against the declared direction"
UNCLEAR = "Not clear"
METHOD = (
    "Spearman's rank correlation over the ranked methods that ended well, without floor, ceiling and changed settings. The interval (Bonett "
    "and Wright 2000) treats the methods as a random sample, and nothing is corrected for the number of correlations."
)
LOSS = (
    "The final loss is not compared over methods, because losses of different methods have different meanings and scales. Within one method it "
    f"is compared over seeds and settings if there are at least {FEWEST} runs; a useful loss has a negative correlation. A setting that is part "
    "of the loss, such as a temperature, changes its scale."
)
NOTHING = (
    f"No table has a label-free figure and knn or linear of at least {FEWEST} ranked methods; measure them with "
    "`sslbench run … --protocol rankme --protocol alignment --protocol uniformity --protocol feature_std`."
)


@dataclass(frozen=True)
class Answer:
    """What a table says about choosing without labels.

    Attributes:
        table: The table.
        over: Each label-free figure against each accuracy, over methods.
        within: The final loss against each accuracy, over the runs of each method that has enough.
    """

    table: Table
    over: Sequence[OverMethods]
    within: Sequence[WithinMethod]


def answers(leaderboard: Leaderboard, records: Sequence[Record]) -> list[Answer]:
    """Return what the tables say; a table with neither kind of correlation is left out.

    Args:
        leaderboard: The tables, with the columns that were measured on request.
        records: All records that the tables were made of.
    """
    records = current(leaderboard, records)
    found = (answer(table, by_row(table, records)) for table in leaderboard.tables)
    return [one for one in found if one.over or one.within]


def answer(table: Table, of_row: Mapping[str, Sequence[Record]]) -> Answer:
    """Return what a table says; ``of_row`` has the records of each row, by the row's label."""
    return Answer(table, over_methods(table), within_methods(table, of_row))


def to_screen(found: Sequence[Answer], width: int) -> RenderableType:
    """Return the answers for a terminal of ``width`` columns."""
    if not found:
        return Text(NOTHING)
    parts: list[RenderableType] = []
    for one in found:
        parts.append(text(numbers.title(one.table), "bold"))
        for headings, rows in _tables(one):
            columns = list(zip(*rows, strict=True))
            names = [PrintedColumn(headings[0], tuple(name_text(entry) for entry in columns[0]))]
            others = [
                PrintedColumn("\n".join(heading.rsplit(" ", 1)), tuple(text(entry) for entry in entries))
                for heading, entries in zip(headings[1:], columns[1:], strict=True)
            ]
            parts += wide_table(names, [others], width)
        parts += [*(text(sentence) for sentence in sentences(one)), Text()]
    return Group(*parts, text(METHOD, "dim"), text(LOSS, "dim"))


def to_markdown(found: Sequence[Answer]) -> str:
    """Return the answers as markdown."""
    if not found:
        return f"{NOTHING}\n"
    blocks = []
    for one in found:
        blocks.append(f"**{markdown(numbers.title(one.table))}**")
        blocks += [_markdown_table(headings, rows) for headings, rows in _tables(one)]
        blocks.append("\n".join(f"- {markdown(sentence)}" for sentence in sentences(one)))
    return "\n\n".join([*blocks, METHOD, LOSS]) + "\n"


def sentences(one: Answer) -> list[str]:
    """Return what a table says, in words made from its numbers."""
    return [*on_methods(one.over), *on_losses(one.within)]


def over_row(one: OverMethods) -> tuple[str, ...]:
    """Return the texts of a correlation over methods, one per entry of ``OVER``."""
    choice = ("", "") if one.choice is None else (one.choice.label, f"{one.choice.lost:.1f}")
    return one.figure.id, one.accuracy, *_numbers(one.correlation), *choice


def _tables(one: Answer) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Yield the headings and rows of each table of texts that has rows."""
    if one.over:
        yield OVER, [over_row(each) for each in one.over]
    if one.within:
        yield WITHIN, [within_row(each) for each in one.within]


def within_row(one: WithinMethod) -> tuple[str, ...]:
    """Return the texts of a correlation within a method, one per entry of ``WITHIN``."""
    varied = ", ".join(one.varied) or "none (seeds only)"
    return one.method, one.accuracy, str(one.correlation.count), *_numbers(one.correlation), varied


def _numbers(correlation: Correlation) -> tuple[str, str]:
    low, high = correlation.interval
    return f"{correlation.value:.2f}", f"{low:.2f} to {high:.2f}"


def on_methods(over: Sequence[OverMethods]) -> Iterator[str]:
    """Yield what the correlations over methods say, in sentences."""
    if not over:
        return
    counts = sorted({one.correlation.count for one in over})
    yield f"Over {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} methods."
    for verdict in (AS_DECLARED, UNDIRECTED, SURPRISING, UNCLEAR):
        named = [one for one in over if _verdict(one) == verdict]
        if named:
            listed = (f"{one.figure.id} with {one.accuracy} ({one.correlation.value:.2f})" for one in named)
            yield f"{verdict}: {', '.join(listed)}."
    for accuracy in dict.fromkeys(one.accuracy for one in over):
        choices = [(one.figure.id, one.choice) for one in over if one.accuracy == accuracy and one.choice is not None]
        if choices:
            lost = ", ".join(f"{choice.lost:.1f} by {figure} ({choice.label})" for figure, choice in choices)
            yield (
                f"Points of {accuracy} below the best method, if a figure chooses: {lost}; the median method is {choices[0][1].typical:.1f} "
                "below the best."
            )


def _verdict(one: OverMethods) -> str:
    if not one.correlation.clear:
        return UNCLEAR
    return {True: AS_DECLARED, None: UNDIRECTED, False: SURPRISING}[one.as_declared]


def on_losses(within: Sequence[WithinMethod]) -> Iterator[str]:
    """Yield what the correlations of the loss within methods say, in sentences."""
    for words, sign in (
        ("A lower final loss goes with a higher accuracy (clear)", -1),
        ("Surprising, cause unknown: a lower final loss goes with a lower accuracy (clear)", 1),
    ):
        named = [
            f"{one.method} with {one.accuracy}"
            for one in within
            if one.correlation.clear and one.correlation.value * sign > 0
        ]
        if named:
            yield f"{words}: {', '.join(named)}."
    unclear = [f"{one.method} with {one.accuracy}" for one in within if not one.correlation.clear]
    if unclear:
        yield f"The final loss says nothing clear: {', '.join(unclear)}."


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, [":--"] * len(headings), *([markdown(entry) for entry in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
