"""What the pictures take from a table: its title, records, the rows that are shown in colour, and words for captions."""

import re
from collections.abc import Sequence

from bench.leaderboard.tables import Leaderboard, Row, Table, row_name
from bench.printable import printable
from bench.records.record import NO_BUDGET, OWN_NETWORK, Record
from bench.reports import numbers

SHOWN = 7
"""Ranked rows in colour; the others are grey until they are chosen."""
FULL = ("knn", "linear")
"""Protocols that use all labels."""


def identifier(kind: str, table: Table, *more: str) -> str:
    """Return the id of a picture."""
    text = "-".join((kind, *more, numbers.title(table), table.fingerprint[:8]))
    return re.sub(r"[^a-z0-9]+", "-", printable(text).lower()).strip("-")


def name_of(row: Row) -> str:
    """Return a row's name as plain text, whole, so that two rows never share one; the plots shorten it."""
    return printable(row.label)


def current(leaderboard: Leaderboard, records: Sequence[Record]) -> list[Record]:
    """Return the records that the tables show, without those of other versions."""
    outdated = [entry.identity for entry in leaderboard.stale if entry.protocol is None]
    return [record for record in records if record.identity not in outdated]


def records_of(table: Table, records: Sequence[Record]) -> list[Record]:
    """Return the records of a table's data set, backbone and budget, and of encoders from elsewhere that it shows."""
    return [
        record
        for record in records
        if (i := record.identity).dataset == table.dataset
        and i.fingerprint == table.fingerprint
        and i.task == table.task
        and i.backbone in (table.backbone, OWN_NETWORK)
        and i.budget in (table.budget, NO_BUDGET)
    ]


def by_row(table: Table, records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each row of a table in the order of its seeds, by the row's label."""
    seeds = {row.label: row.seeds for row in table.rows}
    found: dict[str, dict[int, Record]] = {}
    for record in records_of(table, records):
        i = record.identity
        label = row_name(i.method, i.settings, i.plugin)
        if i.seed in seeds.get(label, ()):
            found.setdefault(label, {}).setdefault(i.seed, record)
    return {label: [of_seed[seed] for seed in sorted(of_seed)] for label, of_seed in found.items()}


def in_colour(table: Table) -> list[Row]:
    """Return the rows that are shown in colour: the best ones, then floor and ceiling."""
    ranked = [row for row in table.rows if row.group == "methods" and row.status == "ok"][:SHOWN]
    return ranked + [row for row in table.rows if row.group == "floor and ceiling"]


def measured_on(table: Table) -> str:
    """Return on how many images and with how many seeds a table was measured."""
    counts = sorted({len(row.seeds) for row in table.rows if row.scores})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    images = f"{table.images:,} " if table.images else ""
    part = "images of val" if table.task == "val" else "test images"
    return f"{images}{part}, {seeds} seed{'s' if counts[-1:] != [1] else ''} per row"


def draws_of(table: Table, records: Sequence[Record], column: str) -> int:
    """Return the largest number of draws of labels in a column."""
    return max(
        (len(m.draws) for r in records_of(table, records) for name, m in r.protocols.items() if name == column),
        default=0,
    )
