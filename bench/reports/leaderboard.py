"""The leaderboard, for the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from bench.leaderboard.tables import Column, Leaderboard, Row, Table
from bench.reports import numbers
from bench.reports.wide_table import PrintedColumn, name_text, text, wide_table


def to_screen(
    leaderboard: Leaderboard,
    width: int,
    costs: Sequence[numbers.CostColumn] = numbers.COST_COLUMNS,
    gaps: bool = False,
) -> RenderableType:
    """Return all tables, then the stale records, for a terminal.

    Args:
        leaderboard: The tables.
        width: Columns of the terminal.
        costs: The columns of costs.
        gaps: Whether the gap to the best is below each score.
    """
    parts: list[RenderableType] = []
    for table in leaderboard.tables:
        parts += [*_table(table, width, costs, gaps), Text()]
    if leaderboard.stale:
        count = len(leaderboard.stale)
        parts.append(Text(f"Outdated, not shown ({count}); `sslbench run` measures them again:", "yellow"))
        parts += [text(f"  {stale}", "dim") for stale in leaderboard.stale]
    if not parts:
        parts.append(Text("No records yet; `sslbench run --all` creates them."))
    return Group(*parts)


def _table(table: Table, width: int, costs: Sequence[numbers.CostColumn], gaps: bool) -> Iterator[RenderableType]:
    yield text(numbers.title(table), "bold")
    names = tuple(name_text(numbers.label(row, table), _style(row)) for row in table.rows)
    row_names = [PrintedColumn("method", names)]
    if any(row.rank is not None for row in table.rows):
        row_names.append(PrintedColumn("rank", tuple(Text(numbers.whole_rank(row)) for row in table.rows)))
    groups = [[_scores(table, column, gaps) for column in table.columns]]
    groups += [[_costs(table, column) for column in costs]] if costs else []
    kinds = [row.group for row in table.rows]
    blank_after = {index for index in range(len(kinds) - 1) if kinds[index] != kinds[index + 1]}
    yield from wide_table(row_names, groups, width, blank_after)
    for sentence in numbers.legend(table, gaps):
        yield text(sentence, "dim")
    if table.other_backbones:
        yield text(f"Same images, another backbone: {', '.join(table.other_backbones)}.", "dim")


def _scores(table: Table, column: Column, gaps: bool) -> PrintedColumn:
    shown = [row.scores[column.id] for row in table.rows if column.id in row.scores]
    deviations = any(score.std is not None for score in shown)
    marks = max((len(_marks(row, column)) for row in table.rows), default=0)
    entries = [_score(row, column, deviations, max(marks, 1), table.unequal) for row in table.rows]
    if gaps:
        for row, entry in zip(table.rows, entries, strict=True):
            found = row.scores.get(column.id)
            if found is not None and found.gap is not None:
                entry.append("\n" + numbers.gap(found.gap) + " " * max(marks, 1), "dim not bold")
    return PrintedColumn(text(column.id).plain.replace("-", "\n"), tuple(entries))


def _score(row: Row, column: Column, deviations: bool, marks: int, unequal: bool) -> Text:
    """Return a score with its marks, padded so that the decimal points of a column are below each other."""
    found = row.scores.get(column.id)
    shown = numbers.score(found, column, between="±", mean_class="/" if unequal else None)
    if deviations and "±" not in shown and "[" not in shown:
        shown += " " * 4
    best = found is not None and found.could_be_best
    return Text(shown + _marks(row, column).ljust(marks), "bold" if best else _style(row))


def _marks(row: Row, column: Column) -> str:
    found = row.scores.get(column.id)
    if found is None:
        return ""
    above = found.above_untrained is not False
    return (numbers.BEST if found.could_be_best else "") + ("" if above else numbers.NOT_ABOVE)


def _costs(table: Table, column: numbers.CostColumn) -> PrintedColumn:
    heading = column.heading.replace(" ", "\n")
    return PrintedColumn(heading, tuple(Text(numbers.cost(row.cost, column), _style(row)) for row in table.rows))


def _style(row: Row) -> str:
    return "red" if row.status != "ok" else "" if row.group == "methods" else "dim"
