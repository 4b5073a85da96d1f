"""Read and check the TOML file of a study. A mistake in it is reported in one line that says where it is."""

import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.data.locate import expanded
from bench.errors import SslbenchError, nearest, unknown
from bench.studies.requests import pretrainings_of
from bench.studies.study import Study, System
from protocols.catalogue import resolve
from protocols.variants import variant_id

FOLDER = Path(__file__).parent
KEYS = {"systems": "system", "comparisons": "comparison", "figures": "figure", "other_published": "beside"}
"""Fields of ``Study`` that have another name in the file: ``[[system]]`` is one entry of ``systems``."""
LARGEST_FILE = 1_000_000
"""Largest number of bytes of a study's file."""
LONGEST_TEXT = 10_000
"""Largest number of characters of a text in it."""
LARGEST_NUMBER = 2**53
MOST_SEEDS = 10_000
MOST_VARIANTS = 1_000
"""Largest number of combinations of a search."""


def names() -> list[str]:
    """Return the names of the studies that are part of sslbench."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(study: str) -> Study:
    """Return a study by its name, or by the path of the user's own TOML file.

    Raises:
        SslbenchError: There is no such study, or its file has a mistake.
    """
    path = expanded(Path(study))
    if path.suffix != ".toml":
        if study not in names():
            raise unknown("study", study, names(), "or the path of a .toml file; `sslbench list studies` lists them")
        path = FOLDER / f"{study}.toml"
    return read(path)


def read(path: Path) -> Study:
    """Return the study of a TOML file.

    Raises:
        SslbenchError: The file cannot be read, or an entry is missing, unknown or of the wrong type.
    """
    where = f"study {path.name}"
    if path.stem.startswith(".") or not path.stem.isprintable():
        raise SslbenchError(f"{where}: results are stored under the file's name: rename it, for example to mine.toml")
    try:
        table = tomllib.loads(_text_of(path))
    except OSError as error:
        raise SslbenchError(f"study {path}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "its entries are nested too deeply"
        raise SslbenchError(f"{where}: not valid TOML: {reason}") from None
    if "name" in table:
        raise SslbenchError(f"{where}: remove 'name'; a study is named after its file")
    study: Study = _build(Study, {"name": path.stem, **table}, where)
    try:
        _check(study)
    except (SslbenchError, ValueError) as error:
        raise SslbenchError(f"{where}: {error}") from None
    return study


def _text_of(path: Path) -> str:
    """Return the text of a study's file, if it is a file and not too large."""
    if path.exists() and not path.is_file():
        raise SslbenchError(f"study {path}: is not a file")
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise SslbenchError(f"study {path.name}: has more than {LARGEST_FILE:,} bytes; a study is a short text")
    return content.decode("utf-8")


def variants(study: Study, system_id: str) -> dict[str, dict[str, Any]]:
    """Return all protocols that the search tries for a system, by id, each with its point on the grid.

    The first one is the system's own protocol, which is not on the grid; its point is empty.
    """
    assert study.search is not None
    searched = next(entry for entry in study.search.systems if entry.system == system_id)
    grid = study.search.grid
    points: dict[str, dict[str, Any]] = {study.system(system_id).protocol: {}}
    for values in product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        changes = {name: value for axis, value in point.items() for name in searched.constants[axis]}
        points[variant_id(searched.protocol, changes)] = point
    return points


def _build(wanted: Any, value: Any, where: str) -> Any:
    """Return ``value``, checked and converted to the type ``wanted``: a dataclass or the annotation of a field."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if is_dataclass(wanted):
        return _build_dataclass(wanted, value, where)
    if wanted is Any:
        return _plain(value, where)
    if origin is Literal:
        if value not in inner:
            raise SslbenchError(f"{where} is {_shown(value)}: {_suggestion(value, inner)}")
        return value
    if origin in (Union, types.UnionType):
        return _build(next(choice for choice in inner if choice is not type(None)), value, where)
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise SslbenchError(f"{where} must be a list")
        return origin(_build(inner[0], entry, f"{where} {number}") for number, entry in enumerate(value, 1))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise SslbenchError(f"{where} must be a table")
        return {key: _build(inner[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if type(value) is not wanted and not (wanted is float and type(value) is int):
        expected = "text" if wanted is str else f"of type {wanted.__name__}"
        raise SslbenchError(f"{where} is {_shown(value)}: must be {expected}")
    _plain(value, where)
    return float(value) if wanted is float else value


def _plain(value: Any, where: str) -> Any:
    """Return a text, number, truth value or flat list of these; anything else (a date, a table) is an error."""
    if isinstance(value, list) and not any(isinstance(entry, list) for entry in value):
        return [_plain(entry, f"{where} {number}") for number, entry in enumerate(value, 1)]
    if not isinstance(value, str | int | float):
        raise SslbenchError(f"{where} is {_shown(value)}: must be text, a number, true, false or a list of these")
    if isinstance(value, str) and (len(value) > LONGEST_TEXT or "\0" in value):
        raise SslbenchError(f"{where}: must be a text without null characters, of at most {LONGEST_TEXT:,} characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise SslbenchError(f"{where} is {value!r}: must be finite")
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise SslbenchError(f"{where}: the number is too large")
    return value


def _shown(value: Any) -> str:
    """Return a value for a message; a table or a list, which may be deeply nested, only by its kind."""
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)


def _suggestion(value: Any, choices: tuple[str, ...]) -> str:
    """Return the end of an error message: the nearest choice, or all choices if none is near."""
    close = nearest(_shown(value) if isinstance(value, dict | list) else str(value), choices)
    return f"did you mean {close!r}?" if close else f"must be one of {', '.join(choices)}"


def _build_dataclass(wanted: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise SslbenchError(f"{where} must be a table")
    hints = get_type_hints(wanted)
    entries = {}
    by_key = {KEYS.get(f.name, f.name) if wanted is Study else f.name: f for f in fields(wanted)}
    for key, entry in value.items():
        if key not in by_key:
            raise SslbenchError(f"{where}: unknown entry {key!r}: {_suggestion(key, tuple(by_key))}")
        entries[by_key[key].name] = _build(
            hints[by_key[key].name], entry, f"{where}: {key}" if wanted is Study else f"{where}.{key}"
        )
    for key, f in by_key.items():
        if f.name not in entries and f.default is MISSING and f.default_factory is MISSING:
            raise SslbenchError(f"{where}: {key!r} is missing")
    return wanted(**entries)


def _check(study: Study) -> None:
    """Check that the entries of a study fit together and that every name in them exists."""
    datasets.epochs(study.dataset, study.budget)
    _check_range("seeds", study.seeds, 1, MOST_SEEDS)
    if not study.systems:
        raise SslbenchError("there is no [[system]]")
    ids = [system.id for system in study.systems]
    for id in ids:
        if ids.count(id) > 1:
            raise SslbenchError(f"two systems have the id {id!r}")
    for system in study.systems:
        _check_system(study, system)
    for pretraining in pretrainings_of(study):
        if len(asking := [system.id for system in pretraining.systems if system.best_epoch_on_test]) > 1:
            raise SslbenchError(
                f"systems {' and '.join(asking)} are one pretraining: best_epoch_on_test can be set for one of them"
            )
    for comparison in study.comparisons:
        _check_id(comparison.first, ids)
        _check_id(comparison.second, ids)
    for figure in study.figures:
        for id in figure.systems:
            _check_id(id, ids)
    if study.fallback is not None:
        datasets.resolve(study.fallback.dataset)
        for protocol in study.fallback.protocols.values():
            resolve(protocol)
    for published in study.other_published:
        _check_range(f"{published.name}: top1", published.top1, 0, 100)
        _check_range(f"{published.name}: top5", published.top5, 0, 100)
        for id in published.systems:
            _check_id(id, ids)
    if study.search is not None:
        if math.prod(len(values) for values in study.search.grid.values()) > MOST_VARIANTS:
            raise SslbenchError(f"the grid of the search has more than {MOST_VARIANTS:,} combinations")
        for searched in study.search.systems:
            _check_id(searched.system, ids)
            if set(searched.constants) != set(study.search.grid):
                raise SslbenchError(
                    f"search of {searched.system}: constants must name the axes of the grid, {', '.join(study.search.grid)}"
                )
            for protocol in variants(study, searched.system):
                resolve(protocol)


def _check_system(study: Study, system: System) -> None:
    backbones.find(system.backbone or study.backbone)
    datasets.epochs(study.dataset, system.budget or study.budget)
    protocol = resolve(system.protocol)
    if system.best_epoch_on_test and (protocol.label_free or protocol.labels is not None):
        raise SslbenchError(
            f"system {system.id}: best_epoch_on_test needs a protocol that answers each test image once, such as knn-200-t01"
        )
    if system.share is not None and not 0 < system.share <= 1:
        raise SslbenchError(f"system {system.id}: share {system.share} must be above 0 and at most 1")
    _check_range(f"system {system.id}: seeds", system.seeds, 1, MOST_SEEDS)
    _check_range(f"system {system.id}: batch", system.batch, 2, LARGEST_NUMBER)
    _check_range(f"system {system.id}: snapshots", system.snapshots, 1, LARGEST_NUMBER)
    for metric, score in system.published.items():
        if metric not in ("top1", "top5"):
            raise SslbenchError(f"system {system.id}: published.{metric} is not a metric; write top1 or top5")
        _check_range(f"system {system.id}: published.{metric}", score, 0, 100)


def _check_range(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise SslbenchError(f"{name} must be {least:,} or more, and at most {most:,}")


def _check_id(id: str, ids: list[str]) -> None:
    if id not in ids:
        raise unknown("system", id, ids)
