"""The leaderboard, for the terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from bench.leaderboard.tables import Column, Leaderboard, Row, Table
from bench.reports import numbers
from bench.reports.wide_table import PrintedColumn, wide_table


def to_screen(leaderboard: Leaderboard, width: int) -> RenderableType:
    """Return all tables, then the stale records, for a terminal of ``width`` columns."""
    parts: list[RenderableType] = []
    for table in leaderboard.tables:
        parts += [*_table(table, width), Text()]
    if leaderboard.stale:
        count = len(leaderboard.stale)
        parts.append(Text(f"Outdated, not shown ({count}); `sslbench run` measures them again:", "yellow"))
        parts += [Text(f"  {stale}", "dim") for stale in leaderboard.stale]
    if not parts:
        parts.append(Text("No records yet; `sslbench run --all` creates them."))
    return Group(*parts)


def _table(table: Table, width: int) -> Iterator[RenderableType]:
    yield Text(numbers.title(table), "bold")
    row_names = [PrintedColumn("method", tuple(Text(numbers.label(row), _style(row)) for row in table.rows))]
    if any(row.rank is not None for row in table.rows):
        row_names.append(PrintedColumn("rank", tuple(Text(numbers.rank(row)) for row in table.rows)))
    scores = [_scores(table, column) for column in table.columns]
    costs = [_costs(table, column) for column in numbers.COST_COLUMNS]
    groups = [row.group for row in table.rows]
    blank_after = {index for index in range(len(groups) - 1) if groups[index] != groups[index + 1]}
    yield from wide_table(row_names, [scores, costs], width, blank_after)
    for sentence in numbers.legend(table):
        yield Text(sentence, "dim")
    if table.other_backbones:
        yield Text(f"Same images, another backbone: {', '.join(table.other_backbones)}.", "dim")


def _scores(table: Table, column: Column) -> PrintedColumn:
    deviations = any(row.scores[column.id].std is not None for row in table.rows if column.id in row.scores)
    return PrintedColumn(column.id.replace("-", "\n"), tuple(_score(row, column, deviations) for row in table.rows))


def _score(row: Row, column: Column, deviations: bool) -> Text:
    found = row.scores.get(column.id)
    text = numbers.score(found, column, between="±")
    if deviations and "±" not in text:
        text += " " * 4
    tied = found is not None and found.tied_with_best
    return Text(text + ("*" if tied else " "), "bold" if tied else _style(row))


def _costs(table: Table, column: numbers.CostColumn) -> PrintedColumn:
    heading = column.heading.replace(" ", "\n")
    return PrintedColumn(heading, tuple(Text(numbers.cost(row.cost, column), _style(row)) for row in table.rows))


def _style(row: Row) -> str:
    return "red" if row.status != "ok" else "" if row.group == "methods" else "dim"
