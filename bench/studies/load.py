"""Read and check the TOML file of a study. A mistake in it is reported in one line that says where it is."""

import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.errors import SslbenchError, nearest, unknown
from bench.studies.study import Study, System
from protocols.catalogue import resolve
from protocols.parts.variants import variant_id

FOLDER = Path(__file__).parent
KEYS = {"systems": "system", "comparisons": "comparison", "figures": "figure", "other_published": "beside"}
"""Fields of ``Study`` that have another name in the file: ``[[system]]`` is one entry of ``systems``."""


def names() -> list[str]:
    """Return the names of the studies that are part of sslbench."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(study: str) -> Study:
    """Return a study by its name, or by the path of the user's own TOML file.

    Raises:
        SslbenchError: There is no such study, or its file has a mistake.
    """
    path = Path(study)
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
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SslbenchError(f"study {path}: cannot be read ({error.strerror}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SslbenchError(f"{where}: not valid TOML: {error}") from None
    if "name" in table:
        raise SslbenchError(f"{where}: remove 'name'; a study is named after its file")
    study: Study = _build(Study, {"name": path.stem, **table}, where)
    try:
        _check(study)
    except (SslbenchError, ValueError) as error:
        raise SslbenchError(f"{where}: {error}") from None
    return study


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
        return value
    if origin is Literal:
        if value not in inner:
            raise SslbenchError(f"{where} is {value!r}: {_suggestion(value, inner)}")
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
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        expected = "text" if wanted is str else f"of type {wanted.__name__}"
        raise SslbenchError(f"{where} is {value!r}: must be {expected}")
    return value


def _suggestion(value: Any, choices: tuple[str, ...]) -> str:
    """Return the end of an error message: the nearest choice, or all choices if none is near."""
    close = nearest(str(value), choices)
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
    if study.seeds < 1:
        raise SslbenchError("seeds must be 1 or more")
    if not study.systems:
        raise SslbenchError("there is no [[system]]")
    ids = [system.id for system in study.systems]
    for id in ids:
        if ids.count(id) > 1:
            raise SslbenchError(f"two systems have the id {id!r}")
    for system in study.systems:
        _check_system(study, system)
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
    if study.search is not None:
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
    resolve(system.protocol)
    if system.share is not None and not 0 < system.share <= 1:
        raise SslbenchError(f"system {system.id}: share {system.share} must be above 0 and at most 1")
    if system.seeds is not None and system.seeds < 1:
        raise SslbenchError(f"system {system.id}: seeds must be 1 or more")
    for metric in system.published:
        if metric not in ("top1", "top5"):
            raise SslbenchError(f"system {system.id}: published.{metric} is not a metric; write top1 or top5")


def _check_id(id: str, ids: list[str]) -> None:
    if id not in ids:
        raise unknown("system", id, ids)
