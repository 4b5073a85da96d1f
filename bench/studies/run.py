"""One `sslbench run --study`: the study's runs, its search, its table, its figures."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_text
from bench.data import catalogue as datasets
from bench.data.locate import available, roots
from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError
from bench.execution.session import Done, Launch, perform
from bench.planning.request import Request, check_names
from bench.records.record import Identity, TaskName
from bench.records.store import Store
from bench.studies.formats import screen, to_markdown, to_table
from bench.studies.load import find, variants
from bench.studies.manifest import Place, Runs, evidence, folder_of, to_json
from bench.studies.results import SearchResult, best, mean_score
from bench.studies.study import Study, System
from bench.studies.table import report

if TYPE_CHECKING:
    from rich.console import Console

Perform = Callable[[Request], Done]


@dataclass(frozen=True)
class Setting:
    """What the user said of a study.

    Attributes:
        data_root: Where downloaded files lie.
        dataset: In the place of the study's.
        budget: Likewise; also of systems that name one of their own.
        seeds: How many, likewise; also of systems that name a number of their own.
        backbone: Likewise, of all systems.
    """

    data_root: Path | None = None
    dataset: str | None = None
    budget: str | None = None
    seeds: int | None = None
    backbone: str | None = None


def run_study(name: str, setting: Setting, launch: Launch) -> list[Identity]:
    """Run what a study lacks, draw its figures, write and show its table.

    Returns:
        The runs that did not end well.

    Raises:
        SslbenchError: No such study, a mistake in it, or what ``perform`` raises.
        KeyboardInterrupt: The user stopped.
    """
    published = find(name)
    study, fallback = settled(published, setting)
    for request in requests(study, setting.data_root):
        check_names(request)
    console = launch.console
    console.print(f"[bold]{study.title}[/bold]", highlight=False)
    if fallback and study.fallback is not None:
        console.print(study.fallback.reason, markup=False, highlight=False, soft_wrap=True)
    lost: list[Identity] = []

    def act(request: Request) -> Done:
        done = perform(request, launch)
        lost.extend(done.lost)
        return done

    runs = replace(_runs(study, setting.data_root, Store(launch.results), act, launch.dry_run), fallback=fallback)
    if launch.dry_run:
        return []
    write(published, runs, launch.results, DatasetSpec(study.dataset, setting.data_root), console)
    return lost


def write(study: Study, runs: Runs, results: Path, source: DatasetSpec, console: "Console") -> None:
    """Draw a study's figures, write its table, and show it."""
    from bench.studies.plots import draw_all

    folder = folder_of(results, study.name)
    drawn = draw_all(study, runs, results, source, lambda line: console.print(line, markup=False, highlight=False))
    found = report(study, evidence(results, runs))
    write_text(folder / "study.md", to_markdown(found, drawn))
    write_text(folder / "study.json", to_json(runs, drawn, to_table(found)))
    console.print()
    console.print(screen(found, console.width, drawn, str(folder)))


def settled(study: Study, setting: Setting) -> tuple[Study, bool]:
    """Return the study with what the user said in it, and whether its fallback's data are taken.

    Raises:
        SslbenchError: Neither the study's data nor the fallback's are there.
    """
    changes: dict[str, Any] = {}
    fallback = False
    if setting.dataset is not None:
        changes["dataset"] = setting.dataset
    elif study.fallback is not None and available(study.dataset, setting.data_root) is None:
        changes["dataset"], fallback = study.fallback.dataset, True
    dataset = _found(changes.get("dataset", study.dataset), setting.data_root)
    systems = study.systems
    if dataset != study.dataset and study.fallback is not None:
        fewer = study.fallback.protocols
        systems = tuple(replace(s, protocol=fewer.get(s.protocol, s.protocol)) for s in systems)
    if setting.seeds is not None:
        systems = tuple(replace(s, seeds=setting.seeds) for s in systems)
    if setting.budget is not None:
        systems = tuple(replace(s, budget=None) for s in systems)
    if setting.backbone is not None:
        systems = tuple(replace(s, backbone=setting.backbone) for s in systems)
    datasets.epochs(dataset, setting.budget or study.budget)
    return replace(
        study, **changes | {"dataset": dataset}, budget=setting.budget or study.budget, systems=systems
    ), fallback


def _found(dataset: str, data_root: Path | None) -> str:
    """Return a data set's name; a relative ``folder:`` that is not here is looked for under the folders of data."""
    if not dataset.startswith(datasets.FOLDER):
        return dataset
    path = Path(dataset.removeprefix(datasets.FOLDER)).expanduser()
    places = [path, *(root / path for root in roots(data_root))]
    for place in places:
        if place.exists():
            return f"{datasets.FOLDER}{place}"
    raise SslbenchError(
        f"{path} is neither here nor under --data-root: name its folder by --data-root, or other data by --dataset"
    )


@dataclass(frozen=True)
class Job:
    """Systems that one pretraining serves."""

    systems: tuple[System, ...]

    def request(
        self, study: Study, data_root: Path | None, task: TaskName, protocols: Iterable[str], seeds: int
    ) -> Request:
        """Return the request for some of its protocols."""
        of = self.systems[0]
        return Request(
            methods=[of.method],
            source=DatasetSpec(study.dataset, data_root, task=task),
            budget=of.budget or study.budget,
            backbone=of.backbone or study.backbone,
            protocols=list(dict.fromkeys(protocols)),
            seeds=range(seeds),
            settings=[
                f"{key}={value if isinstance(value, str) else repr(value)}" for key, value in of.settings.items()
            ],
            batch_size=of.batch,
            share=of.share,
            snapshots=of.snapshots if task == "test" else None,
        )


def jobs_of(study: Study) -> list[Job]:
    """Return the pretrainings of a study, each with the systems that it serves."""
    groups: dict[str, list[System]] = {}
    for system in study.systems:
        groups.setdefault(_pretraining(study, system), []).append(system)
    return [Job(tuple(systems)) for systems in groups.values()]


def _pretraining(study: Study, system: System) -> str:
    seeds = system.seeds or study.seeds
    parts = (
        system.method,
        system.backbone or study.backbone,
        system.budget or study.budget,
        dict(system.settings),
        system.share,
        system.batch,
    )
    return json.dumps([*parts, seeds, system.snapshots], sort_keys=True)


def requests(study: Study, data_root: Path | None) -> list[Request]:
    """Return all requests on the test set, as far as they are known before the search."""
    return [
        job.request(study, data_root, "test", [s.protocol for s in job.systems], job.systems[0].seeds or study.seeds)
        for job in jobs_of(study)
    ]


def _runs(study: Study, data_root: Path | None, store: Store, act: Perform, dry_run: bool) -> Runs:
    systems: dict[str, Place] = {}
    searched: dict[str, Place] = {}
    validated: dict[str, Place] = {}
    tried: dict[str, SearchResult] = {}
    watched = {id for figure in study.figures if figure.kind == "classifiers" for id in figure.systems}
    looked_for = [one.system for one in study.search.systems] if study.search else []
    for job in jobs_of(study):
        ids = [system.id for system in job.systems]
        searches = [id for id in ids if id in looked_for]
        tries = {id: variants(study, id) for id in searches}
        trials = [s.protocol for s in job.systems if s.id in watched] + [p for id in searches for p in tries[id]]
        chosen: dict[str, str] = {}
        if trials:
            done = act(job.request(study, data_root, "val", trials, 1))
            places = _paths(store, done)
            validated |= {s.id: Place(s.protocol, places) for s in job.systems if s.id in watched}
            for id in searches if not dry_run else ():
                tried[id] = _tried(store, done, tries[id])
                chosen[id] = tried[id].chosen
        wanted = [s.protocol for s in job.systems] + list(chosen.values())
        places = _paths(store, act(job.request(study, data_root, "test", wanted, job.systems[0].seeds or study.seeds)))
        systems |= {s.id: Place(s.protocol, places) for s in job.systems}
        searched |= {id: Place(protocol, places) for id, protocol in chosen.items()}
    return Runs(
        systems={s.id: systems[s.id] for s in study.systems},
        searched={id: searched[id] for id in looked_for if id in searched},
        tried=tried,
        validated=validated,
        fallback=False,
    )


def _paths(store: Store, done: Done) -> tuple[str, ...]:
    return tuple(store.record_path(run.identity).relative_to(store.root).as_posix() for run in done.runs)


def _tried(store: Store, done: Done, tries: dict[str, dict[str, Any]]) -> SearchResult:
    records = [record for run in done.runs if (record := store.read(run.identity)) is not None]
    scores = {protocol: score for protocol in tries if (score := mean_score(records, protocol)) is not None}
    if not scores:
        causes = "; ".join(record.cause or record.status for record in records) or "no record"
        raise SslbenchError(
            f"the search of {done.runs[0].identity.method} found nothing that could be trained: {causes}"
        )
    chosen = best(scores)
    return SearchResult(scores, len(tries), chosen, tries[chosen])
