"""A row of a table in full, from its records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.leaderboard.tables import Column, Row, Table
from bench.records.record import Record
from bench.registry.declared import declared_in_source, documentation
from bench.reports import numbers, run_facts
from bench.reports.page.command import repeating
from bench.reports.page.log_excerpt import excerpt
from bench.reports.page.model import About, Facts, OpenedRow, SeedScores

PRETRAIN = next(column for column in numbers.COST_COLUMNS if column.field == "pretrain_s")


def opened(
    row: Row, table: Table, records: Sequence[Record], id: str, default: Sequence[str], results: Path
) -> OpenedRow:
    """Return a row in full.

    Args:
        row: The row.
        table: Its table.
        records: Its records, in the order of its seeds.
        id: Its id in the page.
        default: Protocol ids of the default set.
        results: The results folder, which may have logs.
    """
    command, placeholders = repeating(records, default)
    return OpenedRow(
        id=id,
        row=row,
        about=None if row.plugin else about(row.method),
        seeds=tuple(_seed(record, table.columns) for record in records),
        facts={
            "Run": _merged(map(run_facts.identity, records)),
            "Recipe and settings": _merged(run_facts.shown(record.recipe) for record in records),
            "Cost": _merged(map(run_facts.cost, records)),
            "Environment": _merged(run_facts.shown(record.environment) for record in records),
        },
        command=command,
        placeholders=placeholders,
        log=excerpt(results, records),
    )


def without_shared(rows: Sequence[OpenedRow]) -> tuple[tuple[OpenedRow, ...], Mapping[str, Facts]]:
    """Return the rows without the facts that are the same in all of them, and these facts by subject; a single row keeps its own."""
    if len(rows) < 2:
        return tuple(rows), {}
    pairs = [{(subject, *fact) for subject, facts in row.facts.items() for fact in facts.items()} for row in rows]
    shared = set.intersection(*pairs)

    def chosen(row: OpenedRow, common: bool) -> dict[str, Facts]:
        return {
            subject: {name: text for name, text in facts.items() if ((subject, name, text) in shared) is common}
            for subject, facts in row.facts.items()
        }

    left = tuple(replace(row, facts=chosen(row, False)) for row in rows)
    return left, {subject: facts for subject, facts in chosen(rows[0], True).items() if facts}


def about(method: str) -> About | None:
    """Return what a method of sslbench says about itself; None for any other."""
    found = declared_in_source(method)
    return None if found is None else About(method, found.title, found.paper, found.family, documentation(method))


def _seed(record: Record, columns: Sequence[Column]) -> SeedScores:
    return SeedScores(
        record.identity.seed,
        record.status + (f": {record.cause}" if record.cause else ""),
        tuple(_score(record, column) for column in columns),
        numbers.cost(record.cost, PRETRAIN),
    )


def _score(record: Record, column: Column) -> str:
    found = column.of(record)
    if found is not None and found.same_as:
        return "="
    value = None if found is None else found.metrics.get("top1" if column.percent else column.protocol or column.id)
    return numbers.NONE if value is None else f"{100 * value:.2f}" if column.percent else f"{value:.4g}"


def _merged(facts: Iterable[Mapping[str, str]]) -> Facts:
    """Return the facts of all seeds; values that differ follow each other."""
    values: dict[str, list[str]] = {}
    for one in facts:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    return {name: " | ".join(dict.fromkeys(found)) for name, found in values.items()}
