"""What the pictures take from a table: its title, the rows that are shown in colour, and words for captions."""

import re
from collections.abc import Sequence

from bench.leaderboard.tables import Row, Table
from bench.printable import printable
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.row_records import records_of

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
    return printable(row.name)


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
