"""From a study and the user's options to its pretrainings and their requests."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.data import catalogue as datasets
from bench.data.locate import available, expanded, roots
from bench.errors import SslbenchError
from bench.planning.request import Request
from bench.records.record import TaskName
from bench.studies.study import Study, System
from bench.training.options import RunOptions


@dataclass(frozen=True)
class StudyOptions:
    """What the user changes in a study.

    Attributes:
        dataset: Data set; None for the study's.
        budget: Training budget of all systems; None for the study's.
        seeds: Number of seeds of all systems; None for the study's.
        backbone: Backbone of all systems; None for the study's.
        force: Run again what is recorded.
    """

    dataset: str | None = None
    budget: str | None = None
    seeds: int | None = None
    backbone: str | None = None
    force: bool = False


def apply_options(study: Study, changes: StudyOptions, data_root: Path | None) -> tuple[Study, bool]:
    """Return the study with the user's changes, and whether its fallback data set is used.

    Raises:
        SslbenchError: Neither the study's data set nor the fallback is available, or a budget is unknown.
    """
    dataset, fallback = changes.dataset or study.dataset, False
    if changes.dataset is None and study.fallback is not None and available(study.dataset, data_root) is None:
        dataset, fallback = study.fallback.dataset, True
    dataset = _locate_folder(dataset, data_root)
    budget = changes.budget or study.budget
    datasets.epochs(dataset, budget)
    changed: dict[str, Any] = {}
    if changes.seeds is not None:
        changed["seeds"] = changes.seeds
    if changes.budget is not None:
        changed["budget"] = None
    if changes.backbone is not None:
        changed["backbone"] = changes.backbone
    smaller = study.fallback.protocols if study.fallback is not None and dataset != study.dataset else {}
    systems = tuple(replace(s, protocol=smaller.get(s.protocol, s.protocol), **changed) for s in study.systems)
    return replace(study, dataset=dataset, budget=budget, systems=systems), fallback


def _locate_folder(dataset: str, data_root: Path | None) -> str:
    """Return the name of a data set; the path of a ``folder:`` is searched here and in the data folders."""
    if not dataset.startswith(datasets.FOLDER):
        return dataset
    path = expanded(Path(dataset.removeprefix(datasets.FOLDER)))
    for candidate in [path, *(root / path for root in roots(data_root))]:
        if candidate.exists():
            return f"{datasets.FOLDER}{candidate}"
    raise SslbenchError(
        f"{path} is neither here nor under --data-root: give the folder that contains it with --data-root, "
        "or other images with --dataset"
    )


@dataclass(frozen=True)
class Pretraining:
    """One pretraining, with the systems that measure its encoder.

    Attributes:
        systems: Systems that differ only in their protocol; at least one.
    """

    systems: tuple[System, ...]

    def seeds(self, study: Study) -> int:
        """Return the number of seeds on the test set."""
        return self.systems[0].seeds or study.seeds

    def request(self, study: Study, protocols: Iterable[str], seeds: int, *, force: bool = False) -> Request:
        """Return the request that pretrains with ``seeds`` seeds and measures these protocols."""
        first = self.systems[0]
        return Request(
            methods=[first.method],
            budget=first.budget or study.budget,
            backbone=first.backbone or study.backbone,
            protocols=list(dict.fromkeys(protocols)),
            seeds=range(seeds),
            settings=[
                f"{key}={value if isinstance(value, str) else repr(value)}" for key, value in first.settings.items()
            ],
            batch_size=first.batch,
            share=first.share,
            force=force,
        )

    def run_options(self, study: Study, options: RunOptions, task: TaskName) -> RunOptions:
        """Return the options of its runs on ``task``: those of the command with what this study adds to them."""
        dataset = replace(options.dataset, name=study.dataset, task=task)
        if task == "val":
            return replace(options, dataset=dataset, snapshots=None, answers=None)
        answers = next((system.protocol for system in self.systems if system.best_epoch_on_test), None)
        return replace(options, dataset=dataset, snapshots=self.systems[0].snapshots, answers=answers)


def pretrainings_of(study: Study) -> list[Pretraining]:
    """Return the pretrainings of a study, each with all systems that share it."""
    groups: dict[str, list[System]] = {}
    for system in study.systems:
        groups.setdefault(_pretraining_key(study, system), []).append(system)
    return [Pretraining(tuple(systems)) for systems in groups.values()]


def _pretraining_key(study: Study, system: System) -> str:
    parts = (
        system.method,
        system.backbone or study.backbone,
        system.budget or study.budget,
        dict(system.settings),
        system.share,
        system.batch,
        system.seeds or study.seeds,
        system.snapshots,
    )
    return json.dumps(parts, sort_keys=True)


def requests(study: Study) -> list[Request]:
    """Return one request per pretraining on the test set, before the search adds protocols to it."""
    return [
        pretraining.request(study, [system.protocol for system in pretraining.systems], pretraining.seeds(study))
        for pretraining in pretrainings_of(study)
    ]
