"""All pictures of a page."""

from collections.abc import Sequence
from pathlib import Path

from bench.leaderboard.tables import Leaderboard
from bench.records.record import Record
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.ranks import ranks


def pictures_of(leaderboard: Leaderboard, records: Sequence[Record], results: Path | None) -> list[Picture]:
    """Return the pictures of all tables, in the order of the tables; a table with too few rows for a plot has none.

    Args:
        leaderboard: The tables.
        records: The records that the tables were built from.
        results: The results folder of the records, where snapshots may be stored; None if there is none.
    """
    pictures = []
    for number, table in enumerate(leaderboard.tables, 1):
        pictures.append(ranks(table, f"ranks-{number}"))
    return [picture for picture in pictures if picture is not None]
