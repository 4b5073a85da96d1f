"""A comparison of two results folders, for the terminal."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.text import Text

from bench.leaderboard.compare import Comparison, PairedRow
from bench.leaderboard.tables import Column
from bench.reports import numbers
from bench.reports.wide_table import PrintedColumn, name_text, text, wide_table


def to_screen(comparison: Comparison, names: tuple[str, str], width: int) -> RenderableType:
    """Return the comparison for a terminal of ``width`` columns; ``names`` are those of the two folders."""
    parts: list[RenderableType] = [text(f"{names[0]} | {names[1]}", "bold")]
    for table in dict.fromkeys(row.table for row in comparison.rows):
        rows = [row for row in comparison.rows if row.table == table]
        columns = list({name: pair.column for row in rows for name, pair in row.pairs.items()}.values())
        row_names = [
            PrintedColumn("method", tuple(name_text(row.label) for row in rows)),
            PrintedColumn("differs", tuple(_verdict(row) for row in rows)),
        ]
        scores = [
            PrintedColumn(text(c.id).plain.replace("-", "\n"), tuple(_scores(row, c) for row in rows)) for c in columns
        ]
        parts += [text(table, "bold"), *wide_table(row_names, [scores], width)]
        for row in rows:
            parts += [text(f"{row.label}: {note}", "dim") for note in dict.fromkeys(row.notes)]
        parts.append(Text())
    pairs = [pair for row in comparison.rows for pair in row.pairs.values()]
    if any(pair.interval for pair in pairs):
        parts.append(text(numbers.DIFFERENCE, "dim"))
    if any(pair.differs for pair in pairs):
        parts.append(Text("≠: differs by more than noise (5 % level, Holm-corrected over all compared scores).", "dim"))
    if any(row.differs is None for row in comparison.rows):
        parts.append(Text("untested: no score of the row can be compared; the lines below its table say why.", "dim"))
    for name, found in zip(names, (comparison.only_first, comparison.only_second), strict=True):
        if found and not comparison.rows:
            parts.append(text(f"{name} has {_counts(found)}.", "dim"))
        elif found:
            parts.append(text(f"Only in {name}: {'; '.join(f'{table} {label}' for table, label in found)}", "dim"))
    parts.append(Text(comparison.summary))
    return Group(*parts)


def _counts(rows: tuple[tuple[str, str], ...]) -> str:
    """Return the tables of a folder with their numbers of rows."""
    return "; ".join(f"{table} ({count} rows)" for table, count in Counter(table for table, _ in rows).items())


def _verdict(row: PairedRow) -> Text:
    if row.statuses[0] != row.statuses[1]:
        return Text(f"{row.statuses[0]} | {row.statuses[1]}", "red")
    return {True: Text("yes", "red"), False: Text("no", "green"), None: Text("untested", "yellow")}[row.differs]


def _scores(row: PairedRow, column: Column) -> Text:
    pair = row.pairs.get(column.id)
    if pair is None:
        return Text(numbers.NONE + " ")
    values = (numbers.NONE if value is None else numbers.number(value, column) for value in (pair.first, pair.second))
    shown = Text(" | ".join(values) + ("≠" if pair.differs else " "), "red" if pair.differs else "")
    if (difference := numbers.difference(pair)) is not None:
        shown.append(f"\n{difference} ", "dim")
    return shown
