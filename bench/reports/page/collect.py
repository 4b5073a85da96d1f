"""Records of results folders -> the page's data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.leaderboard.build import current_versions
from bench.leaderboard.read import Selection, comparison_of, leaderboard_of
from bench.leaderboard.tables import Leaderboard, Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.formats import FORMATS
from bench.reports.page.markup import anchor
from bench.reports.page.model import ComparisonView, Page, Section, TableView
from bench.reports.page.opened_row import opened, without_shared
from bench.reports.pictures.picture import Picture
from bench.reports.row_records import by_row, current


@dataclass(frozen=True)
class Folder:
    """A results folder.

    Attributes:
        path: Its path.
        records: All its records.
    """

    path: Path
    records: Sequence[Record]


@dataclass(frozen=True)
class Drawn:
    """The pictures of a page.

    Attributes:
        pictures: The pictures.
        charts: Their plots as Vega specifications, by the picture's id.
        script: The script that draws them.
    """

    pictures: Sequence[Picture]
    charts: Mapping[str, dict[str, Any]]
    script: str


def collect(
    folders: Sequence[Folder],
    leaderboard: Leaderboard,
    studies: Sequence[Section] = (),
    drawn: Drawn | None = None,
    notices: Sequence[str] = (),
) -> Page:
    """Return the page of the first folder, compared with each of the others.

    Args:
        folders: The results folders, at least one.
        leaderboard: The tables of the first, from ``all_tables``.
        studies: The studies of the first.
        drawn: The pictures of the first.
        notices: What the reader must know about the page as a whole, one line each.

    Raises:
        SslbenchError: A folder to compare has no records.
    """
    first, *others = folders
    default = current_versions().default
    taken: set[str] = set()
    pictures = drawn.pictures if drawn else ()
    shown = replace(first, records=current(leaderboard, first.records))
    tables = [_table(table, shown, default, pictures, taken) for table in leaderboard.tables]
    stale = len(leaderboard.stale)
    outdated = [f"Outdated and not shown: {stale}. `sslbench run` measures them again."] if stale else []
    return Page(
        folder=str(first.path),
        runs=len(first.records),
        finished=max(
            (str(r.environment["finished"]) for r in first.records if "finished" in r.environment), default=None
        ),
        version=_version(),
        tables=tuple(tables),
        comparisons=tuple(_compared(first, other, taken) for other in others),
        studies=tuple(studies),
        pictures=tuple(picture for picture in pictures if picture.table is None),
        charts=drawn.charts if drawn else {},
        script=drawn.script if drawn else None,
        notices=(*outdated, *notices),
    )


def all_tables(folder: Folder) -> Leaderboard:
    """Return the tables of a folder with all columns that were measured."""
    return leaderboard_of(folder.records, Selection(), all_protocols=True, folder=str(folder.path))


def _table(
    table: Table, folder: Folder, default: Sequence[str], pictures: Iterable[Picture], taken: set[str]
) -> TableView:
    id = anchor(numbers.title(table), taken)
    shown = [column for column in table.columns if not column.same_as]
    standard = frozenset(column.id for column in shown if column.protocol in default)
    alone = Leaderboard((replace(table, other_backbones=()),))
    of_row = by_row(table, folder.records)
    whole = [
        opened(row, table, of_row[row.label], anchor(f"{id}-{row.label}", taken), default, folder.path)
        for row in table.rows
    ]
    rows, shared_facts = without_shared(whole)
    return TableView(
        id=id,
        table=table,
        rows=rows,
        shared=shared_facts,
        first_shown=standard or frozenset(column.id for column in shown),
        downloads={name: write(alone) for name, write in FORMATS.items()},
        pictures=tuple(picture for picture in pictures if picture.table == numbers.title(table)),
    )


def _compared(first: Folder, other: Folder, taken: set[str]) -> ComparisonView:
    names = str(first.path), str(other.path)
    comparison = comparison_of(first.records, other.records, Selection(), folders=names)
    return ComparisonView(anchor(f"compared with {other.path.name}", taken), names, comparison)


def _version() -> str:
    try:
        return version("sslbench")
    except PackageNotFoundError:
        return "(not installed as a package)"
