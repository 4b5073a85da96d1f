"""A results folder to its board: the records that a user asked for, and what was skipped on the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import SslbenchError, unknown
from bench.leaderboard.build import build, catalogue
from bench.leaderboard.compare import Comparison, compare
from bench.leaderboard.ranking import order
from bench.leaderboard.tables import Leaderboard, Table
from bench.records.record import NO_BUDGET, OWN_NETWORK, Record, TaskName
from bench.records.store import Problem, Store
from bench.registry.methods import load_method, method_names


@dataclass(frozen=True)
class Selection:
    """Which records; None takes all. An encoder from elsewhere has no budget, perhaps no backbone, and stands beside any.

    Attributes:
        dataset: As records name it.
        backbone: The backbone's name.
        budget: The budget's name.
        task: ``test``, or ``val`` for the development task.
    """

    dataset: str | None = None
    backbone: str | None = None
    budget: str | None = None
    task: TaskName = "test"

    def takes(self, record: Record) -> bool:
        """Whether the record is asked for."""
        of = record.identity
        return (
            (self.dataset is None or of.dataset == self.dataset)
            and (self.backbone in (None, of.backbone) or of.backbone == OWN_NETWORK)
            and (self.budget in (None, of.budget) or of.budget == NO_BUDGET)
        )


def read_leaderboard(
    results: Path,
    selection: Selection,
    *,
    all_protocols: bool = False,
    check: bool = False,
    sort: str = "rank",
) -> tuple[Leaderboard, list[Problem]]:
    """Return the tables of a results folder, and the files there that are no records.

    Args:
        results: The results folder.
        selection: Which records.
        all_protocols: Also the columns measured on request.
        check: Also compare the versions of methods; this imports torch.
        sort: ``rank``, ``method``, a column or a cost.

    Raises:
        SslbenchError: Nothing there has the name that was asked for, or there is no such column.
    """
    records, problems = _read(results, selection)
    current = catalogue()
    if check:
        current = replace(current, methods={name: load_method(name).recipe.version for name in method_names()})
    board = build(filter(selection.takes, records), current, all_protocols=all_protocols)
    return replace(board, tables=tuple(_sorted(board.tables, sort))), problems


def read_comparison(first: Path, second: Path, selection: Selection) -> tuple[Comparison, list[Problem]]:
    """Return two results folders side by side, row by row, and the files in either that are no records."""
    sides, problems = [], []
    for folder in (first, second):
        records, skipped = _read(folder, selection)
        if not records:
            raise SslbenchError(f"no records in {folder}: nothing to compare; name a results folder that has some")
        sides.append([record for record in records if selection.takes(record)])
        problems += skipped
    return compare(sides[0], sides[1], catalogue()), problems


def _read(results: Path, selection: Selection) -> tuple[list[Record], list[Problem]]:
    """Return all records of a task; a name that none of them has is an error with the nearest."""
    records, problems = Store(results).read_all(selection.task)
    for field in ("dataset", "backbone", "budget"):
        asked = getattr(selection, field)
        there = {getattr(record.identity, field) for record in records}
        if asked is not None and there and asked not in there:
            raise unknown(f"{field} among the records of {results}", asked, sorted(there))
    return records, problems


def _sorted(tables: Sequence[Table], by: str) -> Iterator[Table]:
    """Yield the tables sorted; one that lacks a column that another has keeps the order of ranks."""
    elsewhere = {column.id for table in tables for column in table.columns}
    for table in tables:
        lacks = by in elsewhere and by not in {column.id for column in table.columns}
        yield table if lacks else replace(table, rows=tuple(order(table.rows, by, table.columns)))
