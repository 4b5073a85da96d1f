"""Plan the runs of a request; used by the command line and by studies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.planning.estimate import Workload
from bench.planning.extend import with_sources
from bench.planning.plan import PlannedRun, plan
from bench.planning.request import Request, check_names
from bench.planning.resolve import resolve
from bench.records.record import Record
from bench.records.store import Store
from bench.training.options import RunOptions


@dataclass(frozen=True)
class Plan:
    """The runs of a request.

    Attributes:
        runs: All requested runs, each with what is left to do.
        records: Existing records of these runs, including those of other versions.
        image_size: Side of the images in pixels.
        dataset: The data set, in lines for the user.
        workload: What the duration of a run depends on.
        skipped: Method name to the reason why it was left out of ``--all``.
        notes: Lines to print before the runs start.
    """

    runs: Sequence[PlannedRun]
    records: Sequence[Record]
    image_size: int
    dataset: Sequence[str]
    workload: Workload
    skipped: Mapping[str, str]
    notes: Sequence[str]

    @property
    def todo(self) -> list[PlannedRun]:
        """The runs that are still to do."""
        return [run for run in self.runs if not run.done]


def plan_runs(
    request: Request, options: RunOptions, on_checked: Callable[[], None] = lambda: None, *, download: bool = True
) -> Plan:
    """Return the plan of a request.

    Args:
        request: The request.
        options: Options of the runs; the plan depends on the data set, the results folder and the plugins.
        on_checked: Called when the names have been checked, before the data set and torch are loaded.
        download: Whether a data set whose files are missing is downloaded.

    Raises:
        SslbenchError: Invalid input.
    """
    check_names(request, options)
    on_checked()
    resolved = resolve(request, options, download=download)
    store = Store(options.results)
    records: list[Record] = []
    if resolved.complete:
        records = [record for run in resolved.wanted if (record := store.read(run.identity)) is not None]
    runs = plan(resolved.wanted, records, force=request.force)
    if request.extend is not None:
        runs = with_sources(runs, request.budget, store)
    return Plan(
        runs, records, resolved.image_size, resolved.dataset, resolved.workload, resolved.skipped, resolved.notes
    )
