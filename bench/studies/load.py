"""A study's TOML file to a ``Study``, checked: a mistake in it is one line that says where."""

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

HERE = Path(__file__).parent
KEYS = {"systems": "system", "comparisons": "comparison", "figures": "figure"}
"""Fields that a file spells in the singular: ``[[system]]`` is one of ``systems``."""


def names() -> list[str]:
    """Return the names of the studies that come along."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def find(study: str) -> Study:
    """Return a study by its name, or by the path of a TOML file of one's own.

    Raises:
        SslbenchError: No such study, or a mistake in its file.
    """
    path = Path(study)
    if path.suffix != ".toml":
        if study not in names():
            raise unknown("study", study, names(), "or the path of a .toml file; `sslbench list studies` lists them")
        path = HERE / f"{study}.toml"
    return read(path)


def read(path: Path) -> Study:
    """Return the study that a file holds.

    Raises:
        SslbenchError: It cannot be read, or something in it is missing, unknown or of another type.
    """
    where = f"study {path.name}"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SslbenchError(f"study {path}: cannot be read ({error.strerror}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SslbenchError(f"{where}: no valid TOML: {error}") from None
    if "name" in table:
        raise SslbenchError(f"{where}: leave 'name' out, the file's name is the study's")
    study: Study = _build(Study, {"name": path.stem, **table}, where)
    try:
        _check(study)
    except (SslbenchError, ValueError) as error:
        raise SslbenchError(f"{where}: {error}") from None
    return study


def variants(study: Study, system: str) -> dict[str, dict[str, Any]]:
    """Return the ids of all protocols that the search tries for a system, each with its place on the grid; its own first, off the grid."""
    assert study.search is not None
    searched = next(one for one in study.search.systems if one.system == system)
    grid = study.search.grid
    found: dict[str, dict[str, Any]] = {study.system(system).protocol: {}}
    for values in product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        changes = {name: value for axis, value in point.items() for name in searched.constants[axis]}
        found[variant_id(searched.protocol, changes)] = point
    return found


def _build(form: Any, value: Any, where: str) -> Any:
    """Return ``value`` as ``form``: a dataclass or an annotation of one of its fields."""
    origin, inner = get_origin(form), get_args(form)
    if is_dataclass(form):
        return _object(form, value, where)
    if form is Any:
        return value
    if origin is Literal:
        if value not in inner:
            raise SslbenchError(f"{where} is {value!r}: {nearest_of(value, inner)}")
        return value
    if origin in (Union, types.UnionType):
        return _build(next(one for one in inner if one is not type(None)), value, where)
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise SslbenchError(f"{where} must be a list")
        return origin(_build(inner[0], entry, f"{where} {number}") for number, entry in enumerate(value, 1))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise SslbenchError(f"{where} must be a table")
        return {key: _build(inner[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if form is float and type(value) is int:
        return float(value)
    if type(value) is not form:
        raise SslbenchError(f"{where} is {value!r}: must be {'text' if form is str else f'of type {form.__name__}'}")
    return value


def nearest_of(value: Any, choices: tuple[str, ...]) -> str:
    """Return the choices, the nearest first said."""
    close = nearest(str(value), choices)
    return f"did you mean {close!r}?" if close else f"must be one of {', '.join(choices)}"


def _object(form: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise SslbenchError(f"{where} must be a table")
    hints = get_type_hints(form)
    entries = {}
    spelled = {KEYS.get(f.name, f.name) if form is Study else f.name: f for f in fields(form)}
    for key, entry in value.items():
        if key not in spelled:
            raise SslbenchError(f"{where}: unknown entry {key!r}: {nearest_of(key, tuple(spelled))}")
        entries[spelled[key].name] = _build(
            hints[spelled[key].name], entry, f"{where}: {key}" if form is Study else f"{where}.{key}"
        )
    for key, f in spelled.items():
        if f.name not in entries and f.default is MISSING and f.default_factory is MISSING:
            raise SslbenchError(f"{where}: {key!r} is missing")
    return form(**entries)


def _check(study: Study) -> None:
    """Check what one entry says of another."""
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
        _known(comparison.first, ids)
        _known(comparison.second, ids)
    for figure in study.figures:
        for id in figure.systems:
            _known(id, ids)
    if study.fallback is not None:
        datasets.resolve(study.fallback.dataset)
        for protocol in study.fallback.protocols.values():
            resolve(protocol)
    if study.search is not None:
        for searched in study.search.systems:
            _known(searched.system, ids)
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
        raise SslbenchError(f"system {system.id}: share {system.share} must lie above 0 and be at most 1")
    if system.seeds is not None and system.seeds < 1:
        raise SslbenchError(f"system {system.id}: seeds must be 1 or more")
    for metric in system.published:
        if metric not in ("top1", "top5"):
            raise SslbenchError(f"system {system.id}: published.{metric} is no metric, write top1 or top5")


def _known(id: str, ids: list[str]) -> None:
    if id not in ids:
        raise unknown("system", id, ids)
