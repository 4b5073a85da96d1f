"""Find one record by its path or by a part of its path."""

from collections.abc import Sequence
from pathlib import Path

from bench.errors import SslbenchError, nearest
from bench.records.record import Record, TaskName
from bench.records.store import Problem, Store, read_record

LISTED = 8


def find(store: Store, run: str) -> Record:
    """Return the record that ``run`` names.

    Args:
        store: Where to look.
        run: The path of a JSON file; or ``dataset/backbone/budget/method/seed-0``; or a part of that which names one record.

    Raises:
        SslbenchError: No record or several have that name (the error lists some), or the file is no record.
    """
    path = Path(run)
    if not path.is_file():
        path = _named(store, run.strip("/").removesuffix(".json"))
    found = read_record(path)
    if isinstance(found, Problem):
        raise SslbenchError(f"{path} cannot be shown: {found.reason}")
    if found is None:
        raise SslbenchError(f"{path} is gone; run `sslbench leaderboard` to see what there is")
    return found


def _named(store: Store, run: str) -> Path:
    paths = {}
    folders: dict[TaskName, str] = {"test": "", "val": "val/"}
    for task, prefix in folders.items():
        for path in store.paths(task):
            name = path.relative_to(store.records_dir(task)).with_suffix("").as_posix()
            paths[prefix + name] = path
    if not paths:
        raise SslbenchError(f"no records under {store.root}: `sslbench run` makes them, --results names another folder")
    if run in paths:
        return paths[run]
    wanted = run.split("/")
    matches = [name for name in paths if _holds(name.split("/"), wanted)] or [name for name in paths if run in name]
    if len(matches) == 1:
        return paths[matches[0]]
    if matches:
        raise SslbenchError(f"'{run}' names {len(matches)} records: {_some(matches)}; give more of the path")
    parts = {part for name in paths for part in (name, *name.split("/"))}
    close = nearest(run, sorted(parts))
    hint = f"did you mean '{close}'?" if close else f"there are {_some(list(paths))}"
    raise SslbenchError(f"no record is named '{run}': {hint}")


def _holds(parts: list[str], wanted: list[str]) -> bool:
    return any(parts[i : i + len(wanted)] == wanted for i in range(len(parts) - len(wanted) + 1))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
