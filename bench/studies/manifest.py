"""Which records belong to a study: kept as paths in its ``study.json``, so that it is shown again without torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import SslbenchError
from bench.records.record import Record
from bench.records.store import Problem, read_record
from bench.studies.results import SearchResult, StudyResults, SystemResult

SCHEMA_VERSION = 1


class Missing(Exception):
    """What a figure needs is not there; the message says what."""


@dataclass(frozen=True)
class Place:
    """Where one row's records stand.

    Attributes:
        protocol: As it was measured.
        records: Paths under the results folder.
    """

    protocol: str
    records: tuple[str, ...]


@dataclass(frozen=True)
class Drawn:
    """A picture that was drawn.

    Attributes:
        file: Its name, beside ``study.json``.
        caption: What it shows, and what can be read from it.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class Runs:
    """All runs of a study.

    Attributes:
        systems: By id.
        searched: By id: what the search chose, measured on the test set.
        tried: By id.
        validated: By id: the runs on the development task whose curves are drawn.
        fallback: Whether the fallback's data were taken.
    """

    systems: Mapping[str, Place]
    searched: Mapping[str, Place]
    tried: Mapping[str, SearchResult]
    validated: Mapping[str, Place]
    fallback: bool


def folder_of(results: Path, name: str) -> Path:
    """Return where a study's table and figures stand."""
    return results / "studies" / name


def to_json(runs: Runs, drawn: Sequence[Drawn], table: Mapping[str, Any]) -> str:
    """Return the text of ``study.json``."""
    data = {
        "schema_version": SCHEMA_VERSION,
        **table,
        "figures": [asdict(one) for one in drawn],
        "runs": asdict(runs),
    }
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read(results: Path, name: str) -> tuple[Runs, list[Drawn]]:
    """Return the runs and the pictures of a study.

    Raises:
        SslbenchError: It was not run with this results folder, or its file cannot be read.
    """
    path = folder_of(results, name) / "study.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != SCHEMA_VERSION:
            raise SslbenchError(f"{path}: of another form; `sslbench run --study {name}` writes it again")
        runs = data["runs"]
        return Runs(
            systems=_places(runs["systems"]),
            searched=_places(runs["searched"]),
            tried={id: SearchResult(**one) for id, one in runs["tried"].items()},
            validated=_places(runs["validated"]),
            fallback=runs["fallback"],
        ), [Drawn(**one) for one in data["figures"]]
    except FileNotFoundError:
        raise SslbenchError(
            f"study {name} has not been run here: `sslbench run --study {name} --results {results}` does it"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SslbenchError(f"{path}: cannot be read ({type(error).__name__}: {error}); run the study again") from None


def evidence(results: Path, runs: Runs) -> StudyResults:
    """Return the records of a study's runs; one that is gone or unreadable is missing in its row."""
    return StudyResults(
        systems={id: _measured(results, place) for id, place in runs.systems.items()},
        searched={id: _measured(results, place) for id, place in runs.searched.items()},
        tried=runs.tried,
        fallback=runs.fallback,
    )


def records_of(results: Path, place: Place) -> list[Record]:
    """Return the records of a row that can be read."""
    found = [read_record(results / path) for path in place.records]
    return [one for one in found if one is not None and not isinstance(one, Problem)]


def first_record(records: Sequence[Record]) -> Record:
    """Return the record of the least seed; raises Missing where there is none."""
    if not records:
        raise Missing("it has no record")
    return min(records, key=lambda r: r.identity.seed)


def _measured(results: Path, place: Place) -> SystemResult:
    return SystemResult(place.protocol, records_of(results, place))


def _places(table: Mapping[str, Any]) -> dict[str, Place]:
    return {id: Place(one["protocol"], tuple(one["records"])) for id, one in table.items()}
