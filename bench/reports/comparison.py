"""A comparison of two results folders on the screen."""

from rich.console import Group, RenderableType
from rich.text import Text

from bench.leaderboard.compare import Comparison, PairedRow
from bench.leaderboard.tables import Column
from bench.reports import numbers
from bench.reports.wide_table import PrintedColumn, wide_table


def screen(comparison: Comparison, names: tuple[str, str], width: int) -> RenderableType:
    """Return the comparison for a terminal of ``width`` columns."""
    parts: list[RenderableType] = [Text(f"{names[0]} | {names[1]}", "bold")]
    for place in dict.fromkeys(one.place for one in comparison.rows):
        rows = [one for one in comparison.rows if one.place == place]
        columns = list({name: pair.column for one in rows for name, pair in one.pairs.items()}.values())
        left = [
            PrintedColumn("method", tuple(Text(one.label) for one in rows)),
            PrintedColumn("differs", tuple(_verdict(one) for one in rows)),
        ]
        shown = [PrintedColumn(c.id.replace("-", "\n"), tuple(_cell(one, c) for one in rows)) for c in columns]
        parts += [Text(place, "bold"), *wide_table(left, [shown], width)]
        for one in rows:
            parts += [Text(f"{one.label}: {note}", "dim") for note in dict.fromkeys(one.notes)]
        parts.append(Text())
    if any(pair.differs for one in comparison.rows for pair in one.pairs.values()):
        parts.append(Text("≠: differs by more than noise (5 %, Holm over all scores compared).", "dim"))
    for name, only in zip(names, (comparison.only_first, comparison.only_second), strict=True):
        if only:
            parts.append(Text(f"Only in {name}: {'; '.join(only)}", "dim"))
    parts.append(Text(comparison.summary))
    return Group(*parts)


def _verdict(one: PairedRow) -> Text:
    if one.statuses[0] != one.statuses[1]:
        return Text(f"{one.statuses[0]} | {one.statuses[1]}", "red")
    return {True: Text("yes", "red"), False: Text("no", "green"), None: Text("untested", "yellow")}[one.differs]


def _cell(one: PairedRow, column: Column) -> Text:
    pair = one.pairs.get(column.id)
    if pair is None:
        return Text(numbers.NONE + " ")
    values = (numbers.NONE if value is None else numbers.number(value, column) for value in (pair.first, pair.second))
    return Text(" | ".join(values) + ("≠" if pair.differs else " "), "red" if pair.differs else "")
