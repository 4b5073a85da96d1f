"""Find one record by its path or part of its path."""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.errors import SslbenchError, nearest
from bench.records.record import Record, TaskName
from bench.records.store import Problem, Store, read_record

LISTED = 8
"""Records listed in an error message."""
_PLUGIN = re.compile(r"@[0-9a-f]{12}(?=[+/])")
"""The content of a plugin in a path; it may be left out."""


def find(store: Store, run: str) -> Record:
    """Return the record with the name ``run``.

    Args:
        store: The results folder to search.
        run: The path of a JSON file, or ``dataset/backbone/budget/method/seed-0``, or a part of that which matches only one record.

    Raises:
        SslbenchError: No record or several match (the message lists some), or the file is not a record.
    """
    path = Path(run)
    if not path.is_file():
        path = _matching_path(store, run.strip("/").removesuffix(".json"))
    found = read_record(path)
    if isinstance(found, Problem):
        raise SslbenchError(f"{path} cannot be shown: {found.reason}")
    if found is None:
        raise SslbenchError(f"{path} no longer exists; `sslbench leaderboard` shows all records")
    return found


def _matching_path(store: Store, run: str) -> Path:
    paths = {}
    folders: dict[TaskName, str] = {"test": "", "val": "val/"}
    for task, prefix in folders.items():
        for path in store.paths(task):
            name = path.relative_to(store.records_dir(task)).with_suffix("").as_posix()
            paths[prefix + name] = path
    if not paths:
        raise SslbenchError(
            f"no records in {store.root}: create them with `sslbench run`, or choose another folder with --results"
        )
    if run in paths:
        return paths[run]
    wanted = run.split("/")
    matches = (
        [name for name in paths if _contains(name.split("/"), wanted)]
        or [name for name in paths if _contains(_PLUGIN.sub("", name).split("/"), wanted)]
        or [name for name in paths if run in name]
    )
    if len(matches) == 1:
        return paths[matches[0]]
    if matches:
        raise SslbenchError(f"'{run}' matches {len(matches)} records: {_some(matches)}; give more of the path")
    parts = {part for name in paths for part in (name, *name.split("/"))}
    close = nearest(run, sorted(parts))
    hint = f"did you mean '{close}'?" if close else f"the records are {_some(list(paths))}"
    raise SslbenchError(f"no record matches '{run}': {hint}")


def _contains(parts: list[str], wanted: list[str]) -> bool:
    return any(parts[i : i + len(wanted)] == wanted for i in range(len(parts) - len(wanted) + 1))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
