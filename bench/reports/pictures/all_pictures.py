"""All pictures of a page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.leaderboard.tables import Leaderboard
from bench.records.record import Record
from bench.reports.pictures import cost, curves, label_free, labels, maps, pairs, ranks
from bench.reports.pictures.picture import Picture
from bench.reports.row_records import current


def pictures_of(leaderboard: Leaderboard, records: Sequence[Record], results: Path | None) -> list[Picture]:
    """Return the pictures of several tables, then those of each in the order of the tables; a table without numbers to compare has none.

    Args:
        leaderboard: The tables.
        records: All records that the tables were made of.
        results: Results folder, whose snapshots are drawn as maps; None for none.
    """
    records = current(leaderboard, records)
    found: list[Picture] = cost.pictures_of_budgets(leaderboard.tables, records)
    for table in leaderboard.tables:
        for kind in (cost, labels, ranks, pairs, curves, label_free):
            found += kind.pictures(table, records)
        found += maps.pictures(table, records, results)
    return _with_unique_ids(found)


def _with_unique_ids(pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures; those whose names differ only in signs get a number."""
    taken: set[str] = set()
    result = []
    for picture in pictures:
        id, number = picture.id, 2
        while id in taken:
            id, number = f"{picture.id}-{number}", number + 1
        taken.add(id)
        result.append(replace(picture, id=id))
    return result
