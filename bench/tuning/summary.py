"""The summary of a search as a file: every trial, the repeated ones, the winner, curves, costs and what came of it on the test set."""

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pydantic_core
from pydantic import ConfigDict, TypeAdapter, ValidationError

from bench.atomic import write_text
from bench.errors import SslbenchError
from bench.filenames import file_name
from bench.records.fields import Amount, Classes, Count, Epochs, FiniteJson, Hash, Name, Text, Trials, Version
from bench.records.record import Status
from bench.records.stored_files import open_regular
from bench.tuning.best_of import BestOf
from bench.tuning.order import Gain, Order

FOLDER = "tuning"
"""Folder of the searches in a results folder."""
LARGEST = 64 * 2**20
"""Largest size of a summary in bytes; a larger file is not read."""
SCHEMA_VERSION = 1
_CONFIG = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True)
class TrialSummary:
    """One trial.

    Attributes:
        settings: What it changed from the shipped recipe.
        status: How its runs ended, the worst of them.
        cause: Why the status is not ``ok``; None if it is.
        accuracy: Accuracy in percent by protocol; empty if it failed.
        score: Mean of its ranks among the trials of the method.
        seconds: Seconds of its runs.
    """

    settings: FiniteJson
    status: Status
    cause: Text | None
    accuracy: dict[Name, float]
    score: float
    seconds: Amount


@dataclass(frozen=True)
class CandidateSummary:
    """One of the best trials, repeated with more seeds.

    Attributes:
        trial: Its number.
        score: Mean over the seeds of its rank among the candidates.
        accuracy: Mean over the seeds of its accuracy in percent, by protocol; without the seeds that failed.
        failed: Number of seeds that failed.
    """

    trial: Count
    score: float
    accuracy: dict[Name, float]
    failed: Count


@dataclass(frozen=True)
class MethodSummary:
    """The search of one method.

    Attributes:
        method: The method's id.
        plugin: Content of the plugin that defines it; None for a method of sslbench.
        version: ``recipe.version``.
        space: The search space, one line per dimension.
        trials: All trials in order.
        candidates: The trials that were repeated, the best first; empty until the trials have ended.
        winner: Number of the best trial; None if all failed, or until the candidates have ended.
        curve: The best of 1, 2, … trials, in percent: the mean of the scored accuracies.
        gains: What the winner gained on the test set; empty until it has been measured there.
        runs: Number of runs of the search, those of the repeated trials included; the test set is not.
        seconds: Seconds of these runs.
    """

    method: Name
    plugin: Hash | None
    version: Version
    space: list[Text]
    trials: list[TrialSummary]
    candidates: list[CandidateSummary] = field(default_factory=list)
    winner: Count | None = None
    curve: list[BestOf] = field(default_factory=list)
    gains: list[Gain] = field(default_factory=list)
    runs: Count = 0
    seconds: Amount = 0.0

    @property
    def failed(self) -> list[int]:
        """Numbers of the trials without a score."""
        return [number for number, trial in enumerate(self.trials) if not trial.accuracy]


@dataclass(frozen=True)
class Summary:
    """The searches of one data set, backbone and budget with the same number of trials.

    Attributes:
        dataset: The data set's name.
        fingerprint: Fingerprint of the development task, or of its first fold.
        backbone: The backbone's name.
        budget: The budget's name.
        epochs: Number of epochs.
        trials: Number of trials of each method.
        folds: Number of folds of ``train`` that each trial was measured on; 1 if ``val`` was used.
        images: Number of images that each trial was measured on, over all folds.
        classes: Number of classes.
        seed: Seed of the points.
        methods: The searches, by the methods' names.
        orders: Whether the order of the methods changes on the test set; empty until all have been measured there.
        schema_version: Version of this form.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    dataset: Name
    fingerprint: Name
    backbone: Name
    budget: Name
    epochs: Epochs
    trials: Trials
    folds: Count
    images: Count
    classes: Classes
    seed: Count
    methods: list[MethodSummary] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    schema_version: Version = SCHEMA_VERSION

    @property
    def measured_on(self) -> str:
        """Return what the trials were measured on, in words."""
        if self.folds == 1:
            return f"{self.images:,} images of val"
        return f"{self.folds} folds of train, {self.images:,} images together"


def folder_of(results: Path, dataset: str, backbone: str, budget: str) -> Path:
    """Return the folder of the searches of a data set, backbone and budget."""
    return results / FOLDER / "-".join(map(file_name, (dataset, backbone, budget)))


def path_of(folder: Path, trials: int) -> Path:
    """Return the path of the summary of searches of this length."""
    return folder / f"trials-{trials}.json"


def read(path: Path) -> Summary | None:
    """Return a summary; None if there is no file.

    Raises:
        SslbenchError: The file is no summary, or was written by another version of sslbench.
    """
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST // 2**20} MB")
        version = pydantic_core.from_json(data, allow_inf_nan=False).get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError("it was written by another version of sslbench")
        return _validator().validate_json(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        reason = (
            "it is not a summary of sslbench tune" if isinstance(error, ValidationError | AttributeError) else error
        )
        raise SslbenchError(f"{path}: cannot be read ({reason}); delete it, `sslbench tune` writes it again") from error


def write(path: Path, summary: Summary) -> None:
    """Write a summary; raises StorageError like ``write_text``."""
    write_text(path, json.dumps(asdict(summary), indent=1, allow_nan=False) + "\n")


def joined(old: Summary | None, new: Summary) -> Summary:
    """Return the new summary with the methods of the old one that it does not have, if both are about the same images and code."""

    def subject(summary: Summary) -> tuple[Any, ...]:
        return (summary.dataset, summary.fingerprint, summary.epochs, summary.trials, summary.folds, summary.seed)

    if old is None or subject(old) != subject(new):
        return new
    own = {(m.method, m.plugin) for m in new.methods}
    kept = [m for m in old.methods if (m.method, m.plugin) not in own]
    return replace(new, methods=sorted([*kept, *new.methods], key=lambda m: m.method))


@cache
def _validator() -> TypeAdapter[Summary]:
    return TypeAdapter(Summary)
