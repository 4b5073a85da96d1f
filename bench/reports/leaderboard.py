"""The leaderboard, for the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from bench.leaderboard.tables import Column, Leaderboard, Row, Table
from bench.reports import numbers
from bench.reports.wide_table import PrintedColumn, name_text, text, wide_table


def to_screen(
    leaderboard: Leaderboard, width: int, costs: Sequence[numbers.CostColumn] = numbers.COST_COLUMNS
) -> RenderableType:
    """Return all tables with the given columns of costs, then the stale records, for a terminal of ``width`` columns."""
    parts: list[RenderableType] = []
    for table in leaderboard.every_table:
        parts += [*_table(table, width, costs), Text()]
    if leaderboard.stale:
        count = len(leaderboard.stale)
        parts.append(Text(f"Outdated, not shown ({count}); `sslbench run` measures them again:", "yellow"))
        parts += [text(f"  {stale}", "dim") for stale in leaderboard.stale]
    if not parts:
        parts.append(Text("No records yet; `sslbench run --all` creates them."))
    return Group(*parts)


def _table(table: Table, width: int, costs: Sequence[numbers.CostColumn]) -> Iterator[RenderableType]:
    yield text(numbers.title(table), "bold")
    names = tuple(name_text(numbers.label(row, table), _style(row)) for row in table.rows)
    row_names = [PrintedColumn("method", names)]
    if any(row.rank is not None for row in table.rows):
        row_names.append(PrintedColumn("rank", tuple(Text(numbers.rank(row)) for row in table.rows)))
    groups = [[_scores(table, column) for column in table.columns]]
    groups += [[_costs(table, column) for column in costs]] if costs else []
    kinds = [row.group for row in table.rows]
    blank_after = {index for index in range(len(kinds) - 1) if kinds[index] != kinds[index + 1]}
    yield from wide_table(row_names, groups, width, blank_after)
    for sentence in numbers.legend(table):
        yield text(sentence, "dim")
    if table.other_backbones:
        yield text(f"Same images, another backbone: {', '.join(table.other_backbones)}.", "dim")


def _scores(table: Table, column: Column) -> PrintedColumn:
    shown = [row.scores[column.id] for row in table.rows if column.id in row.scores]
    deviations = any(score.std is not None for score in shown)
    marks = max((len(_marks(row, column)) for row in table.rows), default=0)
    entries = tuple(_score(row, column, deviations, max(marks, 1), table.unequal) for row in table.rows)
    return PrintedColumn(text(column.id).plain.replace("-", "\n"), entries)


def _score(row: Row, column: Column, deviations: bool, marks: int, unequal: bool) -> Text:
    """Return a score with its marks, padded so that the decimal points of a column are below each other."""
    found = row.scores.get(column.id)
    shown = numbers.score(found, column, between="±", mean_class="/" if unequal else None)
    if deviations and "±" not in shown:
        shown += " " * 4
    tied = found is not None and found.tied_with_best
    return Text(shown + _marks(row, column).ljust(marks), "bold" if tied else _style(row))


def _marks(row: Row, column: Column) -> str:
    found = row.scores.get(column.id)
    if found is None:
        return ""
    above = found.above_untrained is not False
    return (numbers.TIED if found.tied_with_best else "") + ("" if above else numbers.NOT_ABOVE)


def _costs(table: Table, column: numbers.CostColumn) -> PrintedColumn:
    heading = column.heading.replace(" ", "\n")
    return PrintedColumn(heading, tuple(Text(numbers.cost(row.cost, column), _style(row)) for row in table.rows))


def _style(row: Row) -> str:
    return "red" if row.status != "ok" else "" if row.group == "methods" else "dim"
