"""State of a run in progress, from which its record is made."""

import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.backbones import catalogue as backbones
from bench.data.dataset import Dataset
from bench.device import device_name, peak_gpu_memory
from bench.execution.encoder import TrainedEncoder
from bench.filenames import settings_text
from bench.planning.plan import PlannedRun
from bench.planning.settings import recipe_of, settings_of
from bench.records.environment import describe
from bench.records.record import (
    NO_BUDGET,
    Cost,
    DataFacts,
    DeclaredGroup,
    Identity,
    Measurement,
    Record,
    Status,
    Transfer,
)
from bench.records.run_log import RunLog
from bench.training.context import RunContext
from bench.training.optimizers import REFERENCE_BATCH
from methods.base import Method


class RunState:
    """State of a run in progress; it starts with the measurements of the old record of the same identity.

    Args:
        run: The run, with what is left to do.
        old: The stored record with this run's key, or None.
        dataset: The run's data set.
        context: Options, device and callbacks of the run.
        others: The other data sets that the run is to be measured on, by name.

    Attributes:
        log: The run's log.
        encoder: The encoder and how it was trained; None until training has ended.
        protocols: Protocol id to its measurement.
        group: Group that the method declares; None until the method is loaded.
        recipe: What the training uses; empty until the method is loaded.
        evaluate_s: Seconds of evaluation, summed over all sessions.
        peak_memory_mb: Peak memory in MB of earlier sessions.
        tuned: See ``Record.tuned``.
    """

    def __init__(
        self,
        run: PlannedRun,
        old: Record | None,
        dataset: Dataset,
        context: RunContext,
        others: Mapping[str, Dataset] | None = None,
    ) -> None:
        self.run, self.dataset, self.context, self.others = run, dataset, context, others or {}
        self.log = RunLog(context.store.log_path(run.identity), context.on_message)
        self.encoder: TrainedEncoder | None = None
        self.protocols: dict[str, Measurement] = {}
        self.group: DeclaredGroup | None = None
        self.recipe: dict[str, Any] = {}
        self.evaluate_s = 0.0
        self.peak_memory_mb = 0.0
        self.tuned = old.tuned if old is not None and old.identity == run.identity else []
        if old is not None and old.identity == run.identity and run.reason != "forced":
            self.protocols = {name: m for name, m in old.protocols.items() if name not in run.protocols}
            self.evaluate_s = old.cost.evaluate_s or 0.0
            self.peak_memory_mb = old.cost.peak_memory_mb or 0.0

    def describe_method(self, method: type[Method]) -> None:
        """Keep for the record what the run's method declares and uses."""
        self.group = group_of(method, self.run.identity)
        self.recipe = recipe_used(method, self.run.identity)

    def dataset_of(self, on: str | None) -> Dataset:
        """Return the data set that a protocol measures on; None is that of pretraining."""
        return self.dataset if on is None else self.others[on]

    def transfer_to(self, on: str | None) -> Transfer | None:
        """Return the facts of another data set that is measured on; None for that of pretraining."""
        if on is None:
            return None
        other = self.others[on]
        seen = other.test_images_in(self.dataset)
        return Transfer(on, other.fingerprint, other.traits.classes, _facts(other), seen)

    @property
    def steps(self) -> int:
        """Number of steps of the training; 0 without training."""
        training = self.encoder.training if self.encoder else None
        return int(training.curve["step"][-1]) if training and training.curve else 0

    def record(self, status: Status, cause: str | None) -> Record:
        """Return the record of the current state."""
        encoder, device = self.encoder, self.context.torch_device
        training = encoder.training if encoder else None
        cost = Cost(
            pretrain_s=training.seconds if training else None,
            evaluate_s=self.evaluate_s or None,
            images_per_s=training.images_per_s if training else None,
            peak_memory_mb=max(_peak_memory_mb(device), self.peak_memory_mb),
            parameters=sum(p.numel() for p in encoder.network.parameters()) if encoder else None,
            views_per_image=encoder.views_per_image if encoder else None,
            watch_s=(training.watch_s or None) if training else None,
        )
        environment = describe(
            encoder.device if encoder else device_name(device),
            encoder.precision if encoder else "32-true",
            encoder.threads if encoder else self.context.options.threads,
            training.devices if training else 1,
        )
        return Record(
            identity=self.run.identity,
            status=status,
            cause=cause,
            protocols=dict(sorted(self.protocols.items())),
            curve=training.curve if training else {},
            watched=training.watched if training else {},
            cost=cost,
            environment=environment,
            classes=self.dataset.traits.classes,
            group=self.group,
            recipe=self.recipe,
            data=_facts(self.dataset),
            notes=[str(note) for note in getattr(encoder.network, "notes", ())] if encoder else [],
            tuned=self.tuned,
        )


def group_of(method: type[Method], identity: Identity) -> DeclaredGroup:
    """Return the group of a run's method by what the method declares."""
    if identity.budget == NO_BUDGET:
        return "elsewhere"
    return "floor and ceiling" if method.needs.labels or not method.needs.training else "methods"


def recipe_used(method: type[Method], identity: Identity) -> dict[str, Any]:
    """Return what the training of a run uses, as plain JSON values; see ``Record.recipe``."""
    settings = {"settings": _plain(asdict(settings_of(method, identity.settings)))}
    if not method.needs.training:
        return settings
    recipe = recipe_of(method, backbones.find(identity.backbone).kind, identity.settings)
    peak = recipe.rate * identity.batch / REFERENCE_BATCH
    return {**_plain(asdict(recipe)), "batch": identity.batch, "peak_rate": peak, **settings}


def _plain(value: Any) -> Any:
    """Return a setting as a plain JSON value; what JSON does not have becomes text."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _facts(dataset: Dataset) -> DataFacts:
    unlabelled = dataset.unlabelled_images
    return DataFacts(
        train=len(dataset.train_labels),
        val=len(dataset.val),
        test=len(dataset.test_labels),
        unlabelled=0 if unlabelled is None else len(unlabelled),
        duplicates=dataset.duplicates,
    )


def first_log_lines(run: PlannedRun, context: RunContext) -> str:
    """Return the lines with which a session of the run starts in its log."""
    identity, threads, devices = run.identity, context.options.threads, context.options.devices
    environment = describe(device_name(context.torch_device), "", threads)
    versions = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    settings = f" with {settings_text(identity.settings)}" if identity.settings else ""
    return (
        f"start ({run.reason}): {identity.method}{settings} on {identity.dataset} ({identity.task}), {identity.backbone}, "
        f"{identity.budget}: {identity.epochs} epochs, batch {identity.batch}, seed {identity.seed}; "
        f"protocols {', '.join(run.protocols)}\n"
        f"{environment['device']} ({environment['processor']}), threads {threads}{f', devices {devices}' if devices > 1 else ''}\n"
        f"python {environment['python']}, {versions}, commit {environment['commit']}"
    )


def _peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory of this process: of the GPU if the run used one, else of main memory."""
    on_gpu = peak_gpu_memory(device)
    if on_gpu is not None:
        return on_gpu / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux its peak includes that of the parent process.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
