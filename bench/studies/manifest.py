"""``study.json``: which records belong to a study, so that it can be shown again without running anything."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import SslbenchError
from bench.records.record import Record
from bench.records.store import Problem, Store
from bench.studies.results import BestEpoch, SearchResult, StudyResults, SystemResult

SCHEMA_VERSION = 1
LARGEST_FILE = 10_000_000
"""Largest number of bytes of a ``study.json``."""


@dataclass(frozen=True)
class SystemRecords:
    """The paths of one row's records.

    Attributes:
        protocol: Id of the protocol that was measured.
        records: Paths relative to the results folder, one per seed.
    """

    protocol: str
    records: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A figure that was drawn.

    Attributes:
        file: Name of the image file, in the folder of ``study.json``.
        caption: What the figure shows.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class StudyRuns:
    """The records of all runs of a study.

    Attributes:
        systems: Records by system id.
        searched: Records of the protocol that the search chose, measured on the test set, by system id.
        tried: Result of the search, by system id.
        validated: Records on the development task, whose curves are drawn, by system id.
        fallback: Whether the fallback data set was used.
        best_epochs: Best epoch of each run, chosen on the test images, by system id.
    """

    systems: Mapping[str, SystemRecords]
    searched: Mapping[str, SystemRecords]
    tried: Mapping[str, SearchResult]
    validated: Mapping[str, SystemRecords]
    fallback: bool
    best_epochs: Mapping[str, tuple[BestEpoch, ...]] = field(default_factory=dict)


def folder_of(results: Path, name: str) -> Path:
    """Return the folder of a study's table and figures."""
    return results / "studies" / name


def to_json(runs: StudyRuns, pictures: Sequence[Picture], table: Mapping[str, Any]) -> str:
    """Return the text of ``study.json``."""
    data = {
        "schema_version": SCHEMA_VERSION,
        **table,
        "figures": [asdict(picture) for picture in pictures],
        "runs": asdict(runs),
    }
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read(results: Path, name: str) -> tuple[StudyRuns, list[Picture]]:
    """Return the runs and the pictures of a study.

    Raises:
        SslbenchError: The results folder has no results of this study, or its ``study.json`` cannot be read.
    """
    path = folder_of(results, name) / "study.json"
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= LARGEST_FILE):
            raise SslbenchError(f"{path}: is not a file of at most {LARGEST_FILE:,} bytes; run the study again")
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != SCHEMA_VERSION:
            raise SslbenchError(f"{path}: is of another version; `sslbench study {name}` writes it again")
        runs = data["runs"]
        return StudyRuns(
            systems=_system_records(runs["systems"]),
            searched=_system_records(runs["searched"]),
            tried={id: SearchResult(**result) for id, result in runs["tried"].items()},
            validated=_system_records(runs["validated"]),
            fallback=runs["fallback"],
            best_epochs={
                str(id): tuple(BestEpoch(**entry) for entry in entries)
                for id, entries in runs.get("best_epochs", {}).items()
            },
        ), [Picture(**picture) for picture in data["figures"]]
    except FileNotFoundError:
        raise SslbenchError(
            f"study {name} has no results in {results}; run it with `sslbench study {name} --results {results}`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SslbenchError(f"{path}: cannot be read ({type(error).__name__}: {error}); run the study again") from None


def load_results(results: Path, runs: StudyRuns) -> StudyResults:
    """Return the results of a study's runs. Records that are gone or unreadable are left out."""

    def load(rows: Mapping[str, SystemRecords]) -> dict[str, SystemResult]:
        return {id: SystemResult(row.protocol, records_of(results, row)) for id, row in rows.items()}

    return StudyResults(load(runs.systems), load(runs.searched), runs.tried, runs.fallback, runs.best_epochs)


def records_of(results: Path, row: SystemRecords) -> list[Record]:
    """Return the records of a row that can be read."""
    store = Store(results)
    found = [store.read_file(results / path) for path in row.records]
    return [record for record in found if record is not None and not isinstance(record, Problem)]


def _system_records(table: Mapping[str, Any]) -> dict[str, SystemRecords]:
    return {
        str(id): SystemRecords(str(row["protocol"]), tuple(map(_inside, row["records"]))) for id, row in table.items()
    }


def _inside(path: str) -> str:
    """Return a record's path if it stays within the results folder."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError(f"{path} is outside of the results folder")
    return path
