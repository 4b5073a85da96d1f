"""A comparison of two results folders, for the terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from bench.leaderboard.compare import Comparison, PairedRow
from bench.leaderboard.tables import Column
from bench.reports import numbers
from bench.reports.wide_table import PrintedColumn, wide_table


def to_screen(comparison: Comparison, names: tuple[str, str], width: int) -> RenderableType:
    """Return the comparison for a terminal of ``width`` columns; ``names`` are those of the two folders."""
    parts: list[RenderableType] = [Text(f"{names[0]} | {names[1]}", "bold")]
    for table in dict.fromkeys(row.table for row in comparison.rows):
        rows = [row for row in comparison.rows if row.table == table]
        columns = list({name: pair.column for row in rows for name, pair in row.pairs.items()}.values())
        row_names = [
            PrintedColumn("method", tuple(Text(row.label) for row in rows)),
            PrintedColumn("differs", tuple(_verdict(row) for row in rows)),
        ]
        scores = [PrintedColumn(c.id.replace("-", "\n"), tuple(_scores(row, c) for row in rows)) for c in columns]
        parts += [Text(table, "bold"), *wide_table(row_names, [scores], width)]
        for row in rows:
            parts += [Text(f"{row.label}: {note}", "dim") for note in dict.fromkeys(row.notes)]
        parts.append(Text())
    if any(pair.differs for row in comparison.rows for pair in row.pairs.values()):
        parts.append(Text("≠: differs by more than noise (5 % level, Holm-corrected over all compared scores).", "dim"))
    for name, labels in zip(names, (comparison.only_first, comparison.only_second), strict=True):
        if labels:
            parts.append(Text(f"Only in {name}: {'; '.join(labels)}", "dim"))
    parts.append(Text(comparison.summary))
    return Group(*parts)


def _verdict(row: PairedRow) -> Text:
    if row.statuses[0] != row.statuses[1]:
        return Text(f"{row.statuses[0]} | {row.statuses[1]}", "red")
    return {True: Text("yes", "red"), False: Text("no", "green"), None: Text("untested", "yellow")}[row.differs]


def _scores(row: PairedRow, column: Column) -> Text:
    pair = row.pairs.get(column.id)
    if pair is None:
        return Text(numbers.NONE + " ")
    values = (numbers.NONE if value is None else numbers.number(value, column) for value in (pair.first, pair.second))
    return Text(" | ".join(values) + ("≠" if pair.differs else " "), "red" if pair.differs else "")
