"""What is known of a run while it goes, and the record that is made of it."""

import resource
import sys
from pathlib import Path

import torch

from bench.data.dataset import Dataset
from bench.device import device_name
from bench.execution.context import Surroundings
from bench.execution.encoder import Encoded
from bench.filenames import settings_text
from bench.planning.plan import PlannedRun
from bench.records.environment import describe
from bench.records.record import Cost, Identity, Measurement, Record, Status
from bench.records.run_log import RunLog


class Story:
    """What is known of a run so far; it begins with what an old record of the same run measured.

    Args:
        run: What is left to do.
        old: The record that stands in its place, or None.
        log: Of the run.

    Attributes:
        log: Of the run.
        encoded: The encoder with how it was trained; None before.
        protocols: Ids to what they measured.
        evaluate_s: Seconds of measuring.
        peak_memory_mb: The most memory in MB that an earlier sitting took.
    """

    def __init__(self, run: PlannedRun, old: Record | None, log: RunLog) -> None:
        self.log = log
        same = old is not None and old.identity == run.identity and run.reason != "forced"
        self.encoded: Encoded | None = None
        self.protocols: dict[str, Measurement] = {}
        self.evaluate_s = 0.0
        self.peak_memory_mb = 0.0
        if old is not None and same:
            self.protocols = {name: m for name, m in old.protocols.items() if name not in run.protocols}
            self.evaluate_s = old.cost.evaluate_s or 0.0
            self.peak_memory_mb = old.cost.peak_memory_mb or 0.0

    def record(
        self, identity: Identity, dataset: Dataset, status: Status, cause: str | None, surroundings: Surroundings
    ) -> Record:
        """Return the record of what is known now."""
        encoded = self.encoded
        trained = encoded.trained if encoded else None
        cost = Cost(
            pretrain_s=trained.seconds if trained else None,
            evaluate_s=self.evaluate_s or None,
            images_per_s=trained.images_per_s if trained else None,
            peak_memory_mb=max(_peak_memory_mb(surroundings.device), self.peak_memory_mb),
            parameters=sum(p.numel() for p in encoded.encoder.parameters()) if encoded else None,
            views_per_image=encoded.views_per_image if encoded else None,
        )
        precision = encoded.precision if encoded else "32-true"
        threads = encoded.threads if encoded else surroundings.threads
        return Record(
            identity=identity,
            status=status,
            cause=cause,
            protocols=dict(sorted(self.protocols.items())),
            curve=trained.curve if trained else {},
            cost=cost,
            environment=describe(encoded.device if encoded else device_name(surroundings.device), precision, threads),
            classes=dataset.traits.classes,
        )


def beginning(run: PlannedRun, surroundings: Surroundings) -> str:
    """Return the first lines of a sitting, for the log."""
    of, where = run.identity, describe(device_name(surroundings.device), "", surroundings.threads)
    versions = ", ".join(f"{name} {version}" for name, version in where["packages"].items())
    settings = f" with {settings_text(of.settings)}" if of.settings else ""
    return (
        f"start ({run.reason}): {of.method}{settings} on {of.dataset} ({of.task}), {of.backbone}, {of.budget}: "
        f"{of.epochs} epochs, batch {of.batch}, seed {of.seed}; protocols {', '.join(run.protocols)}\n"
        f"{where['device']} ({where['processor']}), threads {where['threads']}\n"
        f"python {where['python']}, {versions}, commit {where['commit']}"
    )


def _peak_memory_mb(device: torch.device) -> float:
    """Return the most that this run's process took: on the GPU where it ran on one, else of main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux a new process begins with its parent's peak there.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
