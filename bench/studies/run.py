"""Run a study: its pretrainings, its search, then write its table and figures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_text
from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError
from bench.execution.session import Performed, perform, prepare
from bench.execution.time_left import duration
from bench.planning.request import check_names
from bench.printable import printable
from bench.records.record import Identity, TaskName
from bench.records.store import Store
from bench.studies.formats import screen, source_line, to_markdown, to_table
from bench.studies.load import find, variants
from bench.studies.manifest import StudyRuns, SystemRecords, folder_of, load_results, read, to_json
from bench.studies.outlook import Outlook, outlook_of, trials_of
from bench.studies.requests import Pretraining, StudyOptions, apply_options, pretrainings_of, requests
from bench.studies.results import BestEpoch, SearchResult, best_protocol, mean_score
from bench.studies.study import Study
from bench.studies.table import build_report
from bench.training.options import RunOptions

if TYPE_CHECKING:
    from rich.console import Console

RunPretraining = Callable[[Pretraining, TaskName, Iterable[str], int], Performed]
"""Pretrain and measure: pretraining, task, protocol ids, number of seeds."""


def run_study(
    name: str, changes: StudyOptions, options: RunOptions, console: "Console", *, dry_run: bool = False
) -> list[Identity]:
    """Run what is missing of a study, draw its figures, write its table and show it.

    Args:
        name: Name of a study, or path of its file.
        changes: What the user changes in it.
        options: How runs are carried out; the study sets the data set's name and the snapshots.
        console: Where plans, progress and the table are printed.
        dry_run: Only print the plans.

    Returns:
        The runs that did not end well.

    Raises:
        SslbenchError: There is no such study, its file has a mistake, or ``perform`` raised.
        KeyboardInterrupt: The user stopped.
    """
    study = find(name)
    data_root = options.dataset.data_root
    adapted, fallback = apply_options(study, changes, data_root)
    for pretraining, request in zip(pretrainings_of(adapted), requests(adapted), strict=True):
        check_names(request, pretraining.run_options(adapted, options, "test"))
    prepare(options, dry_run=dry_run)
    _announce(adapted, fallback, outlook_of(adapted, options, force=changes.force, dry_run=dry_run), console)
    failed: list[Identity] = []

    def run(pretraining: Pretraining, task: TaskName, protocols: Iterable[str], seeds: int) -> Performed:
        request = pretraining.request(adapted, protocols, seeds, force=changes.force)
        options_of_run = pretraining.run_options(adapted, options, task)
        performed = perform(request, options_of_run, console, dry_run=dry_run, in_study=True)
        failed.extend(performed.failed)
        return performed

    runs = _run_all(adapted, fallback, Store(options.results), run, dry_run)
    if dry_run:
        return []
    dataset = DatasetSpec(adapted.dataset, data_root)
    runs = replace(runs, best_epochs=_best_epochs(adapted, runs, options.results, dataset, console))
    write_study(study, runs, options.results, dataset, console)
    return failed


def _best_epochs(
    study: Study, runs: StudyRuns, results: Path, dataset: DatasetSpec, console: "Console"
) -> Mapping[str, tuple[BestEpoch, ...]]:
    """Return the best epochs of the systems that ask for them, now that all runs have ended."""
    if not any(system.best_epoch_on_test for system in study.systems):
        return {}
    from bench.studies.best_epoch import best_epochs

    try:
        earlier = read(results, study.name)[0].best_epochs
    except SslbenchError:  # no results yet, or they are written again
        earlier = {}
    return best_epochs(
        study, runs.systems, earlier, results, dataset,
        lambda line: console.print(printable(line), markup=False, highlight=False, soft_wrap=True),
    )  # fmt: skip


def _announce(study: Study, fallback: bool, outlook: Outlook, console: "Console") -> None:
    """Print what the study is, where its published scores come from, and what it will take."""
    lines = [source_line(study)]
    if fallback and study.fallback is not None:
        lines.append(study.fallback.reason)
    lines += [f"  {line}" for line in (*outlook.dataset, *outlook.lines)]
    if outlook.seconds:
        source = "earlier records" if outlook.from_records else "earlier records where there are some, else by a rule"
        lines.append(f"  about {duration(outlook.seconds)} for the whole study (an estimate, from {source})")
    console.print(printable(study.title), style="bold", markup=False, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def write_study(study: Study, runs: StudyRuns, results: Path, dataset: DatasetSpec, console: "Console") -> None:
    """Draw a study's figures, write its table, and show it."""
    from bench.studies.plots import draw_all

    folder = folder_of(results, study.name)
    pictures = draw_all(
        study, runs, results, dataset, lambda line: console.print(printable(line), markup=False, highlight=False)
    )
    report = build_report(study, load_results(results, runs))
    write_text(folder / "study.md", to_markdown(report, pictures))
    write_text(folder / "study.json", to_json(runs, pictures, to_table(report)))
    console.print()
    console.print(screen(report, console.width, pictures, str(folder)))


def _run_all(study: Study, fallback: bool, store: Store, run: RunPretraining, dry_run: bool) -> StudyRuns:
    """Run every pretraining of a study: the search on the development task first, then everything on the test set."""
    systems: dict[str, SystemRecords] = {}
    searched: dict[str, SystemRecords] = {}
    validated: dict[str, SystemRecords] = {}
    tried: dict[str, SearchResult] = {}
    with_curves = {id for figure in study.figures if figure.kind == "classifiers" for id in figure.systems}
    ids_to_search = [entry.system for entry in study.search.systems] if study.search else []
    for pretraining in pretrainings_of(study):
        own = {system.id: system.protocol for system in pretraining.systems}
        candidates = {id: variants(study, id) for id in own if id in ids_to_search}
        trials = trials_of(study, pretraining)
        chosen: dict[str, str] = {}
        if trials:
            performed = run(pretraining, "val", trials, 1)
            paths = _record_paths(store, performed)
            validated |= {id: SystemRecords(own[id], paths) for id in own if id in with_curves}
            if not dry_run:
                tried |= {id: _search_result(store, performed, points) for id, points in candidates.items()}
                chosen = {id: tried[id].chosen for id in candidates}
        performed = run(pretraining, "test", [*own.values(), *chosen.values()], pretraining.seeds(study))
        paths = _record_paths(store, performed)
        systems |= {id: SystemRecords(protocol, paths) for id, protocol in own.items()}
        searched |= {id: SystemRecords(protocol, paths) for id, protocol in chosen.items()}
    return StudyRuns(
        systems={system.id: systems[system.id] for system in study.systems},
        searched={id: searched[id] for id in ids_to_search if id in searched},
        tried=tried,
        validated=validated,
        fallback=fallback,
    )


def _record_paths(store: Store, performed: Performed) -> tuple[str, ...]:
    return tuple(store.record_path(run.identity).relative_to(store.root).as_posix() for run in performed.runs)


def _search_result(store: Store, performed: Performed, points: Mapping[str, dict[str, Any]]) -> SearchResult:
    """Return the best of the tried protocols; ``points`` holds their points on the grid."""
    records = [record for run in performed.runs if (record := store.read(run.identity)) is not None]
    scores = {protocol: score for protocol in points if (score := mean_score(records, protocol)) is not None}
    if not scores:
        causes = "; ".join(record.cause or record.status for record in records) or "no record"
        method = performed.runs[0].identity.method
        raise SslbenchError(f"the search for {method} found no setting that could be trained: {causes}")
    chosen = best_protocol(scores)
    return SearchResult(scores, len(points), chosen, points[chosen])
