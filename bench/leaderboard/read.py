"""Read the records of a results folder, and build the tables or the comparison that a user asked for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.catalogue import location, own_form
from bench.errors import SslbenchError, unknown
from bench.filenames import is_slug_of
from bench.leaderboard.build import build, current_versions
from bench.leaderboard.compare import Comparison, compare
from bench.leaderboard.ranking import order
from bench.leaderboard.tables import Leaderboard, Table
from bench.records.record import NO_BUDGET, OWN_NETWORK, Record, TaskName
from bench.records.store import Problem, Store
from bench.registry.declared import declared
from bench.registry.methods import method_names


@dataclass(frozen=True)
class Selection:
    """Which records to show; None selects all.

    An encoder pretrained elsewhere has no budget and is selected with any budget; with its own network, also with any backbone.

    Attributes:
        dataset: The name of the data set of pretraining, as in the records, or ``folder:PATH`` as for ``sslbench run``. Records keep only
            the last part of a folder's path: all data sets of folders with that name are selected.
        backbone: The backbone's name.
        budget: The budget's name.
        task: ``test``, or ``val`` for the development task.
    """

    dataset: str | None = None
    backbone: str | None = None
    budget: str | None = None
    task: TaskName = "test"

    def includes(self, record: Record) -> bool:
        """Whether the record is selected."""
        identity = record.identity
        return (
            identity.task == self.task
            and (self.dataset is None or self.names(identity.dataset))
            and (self.backbone in (None, identity.backbone) or identity.backbone == OWN_NETWORK)
            and (self.budget in (None, identity.budget) or identity.budget == NO_BUDGET)
        )

    def names(self, recorded: str) -> bool:
        """Whether ``dataset`` is a name of the recorded data set."""
        wanted = self.dataset or ""
        form = own_form(wanted)
        if recorded == wanted or form is None:
            return recorded == wanted
        path = Path(location(wanted))
        # A folder is named by its name, a file by its name without the suffix.
        ends = {path.resolve().name, path.stem} if form.is_path else {location(wanted)}
        return any(is_slug_of(recorded, f"{form.prefix}{name}") for name in ends)

    def meaning(self, datasets: Iterable[str]) -> str | None:
        """Return which of the shown data sets the name of own images selected, in one line; None for any other name."""
        if self.dataset is None or (form := own_form(self.dataset)) is None:
            return None
        shown = ", ".join(dict.fromkeys(datasets))
        kept = "a folder's path" if form.is_path else "a name"
        return f"--dataset {self.dataset}: shows {shown}; records keep only the last part of {kept}"


def read_records(results: Path, task: TaskName = "test") -> tuple[list[Record], list[Problem]]:
    """Return all records of a task in a results folder, and the JSON files there that are not records."""
    return Store(results).read_all(task)


def leaderboard_of(
    records: Sequence[Record],
    selection: Selection,
    *,
    all_protocols: bool = False,
    check: bool = False,
    sort: str = "rank",
    folder: str = "the results folder",
) -> Leaderboard:
    """Return the tables of the selected records.

    Args:
        records: All records of a results folder.
        selection: Which of them to show.
        all_protocols: Also show the columns that were measured on request.
        check: Also compare the versions of methods.
        sort: ``rank``, ``method``, a column or a cost.
        folder: The folder's name in an error message.

    Raises:
        SslbenchError: No record has the selected data set, backbone or budget, or there is no such column.
    """
    current = current_versions()
    if check:
        current = replace(current, methods={name: declared(name).version for name in method_names()})
    leaderboard = build(_select(records, selection, folder), current, all_protocols=all_protocols)
    tables, count = list(_sorted(leaderboard.every_table, sort)), len(leaderboard.tables)
    return replace(leaderboard, tables=tuple(tables[:count]), transfers=tuple(tables[count:]))


def read_leaderboard(
    results: Path,
    selection: Selection,
    *,
    all_protocols: bool = False,
    check: bool = False,
    sort: str = "rank",
) -> tuple[Leaderboard, list[Problem]]:
    """Read a results folder; return its tables, and the files there that are not records.

    The arguments and errors are those of ``leaderboard_of``.
    """
    records, problems = read_records(results, selection.task)
    leaderboard = leaderboard_of(
        records, selection, all_protocols=all_protocols, check=check, sort=sort, folder=str(results)
    )
    return leaderboard, problems


def comparison_of(
    first: Sequence[Record],
    second: Sequence[Record],
    selection: Selection,
    *,
    folders: tuple[str, str] = ("the first folder", "the second folder"),
) -> Comparison:
    """Compare the selected records of two results folders, row by row.

    Args:
        first: All records of the first folder.
        second: All records of the second folder.
        selection: Which of them to compare.
        folders: The folders' names in an error message.

    Raises:
        SslbenchError: A folder has no records, or none with the selected data set, backbone or budget.
    """
    for records, folder in zip((first, second), folders, strict=True):
        if not records:
            raise SslbenchError(f"no records in {folder}: nothing to compare; choose a results folder with records")
    selected = [_select(records, selection, folder) for records, folder in zip((first, second), folders, strict=True)]
    return compare(selected[0], selected[1], current_versions())


def read_comparison(first: Path, second: Path, selection: Selection) -> tuple[Comparison, list[Problem]]:
    """Read and compare two results folders; also return the files in either that are not records."""
    (records, problems), (other_records, other_problems) = (
        read_records(folder, selection.task) for folder in (first, second)
    )
    comparison = comparison_of(records, other_records, selection, folders=(str(first), str(second)))
    return comparison, problems + other_problems


def _select(records: Sequence[Record], selection: Selection, folder: str) -> list[Record]:
    """Return the selected records; a name that no record has is an error with the nearest one."""
    for field in ("dataset", "backbone", "budget"):
        wanted = getattr(selection, field)
        recorded = {getattr(record.identity, field) for record in records if record.identity.task == selection.task}
        if field == "dataset" and any(map(selection.names, recorded)):
            continue
        if wanted is not None and recorded and wanted not in recorded:
            raise unknown(field, wanted, sorted(recorded), f"in the records of {folder}")
    return [record for record in records if selection.includes(record)]


def _sorted(tables: Sequence[Table], by: str) -> Iterator[Table]:
    """Yield the tables sorted; a table without the column, if another table has it, stays in the order of ranks."""
    all_columns = {column.id for table in tables for column in table.columns}
    for table in tables:
        lacks = by in all_columns and by not in {column.id for column in table.columns}
        yield table if lacks else replace(table, rows=tuple(order(table.rows, by, table.columns)))
