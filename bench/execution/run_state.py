"""State of a run in progress, from which its record is made."""

import resource
import sys
from pathlib import Path

import torch

from bench.data.dataset import Dataset
from bench.device import device_name
from bench.execution.encoder import TrainedEncoder
from bench.filenames import settings_text
from bench.planning.plan import PlannedRun
from bench.records.environment import describe
from bench.records.record import Cost, Measurement, Record, Status
from bench.records.run_log import RunLog
from bench.training.context import RunContext


class RunState:
    """State of a run in progress; it starts with the measurements of the old record of the same identity.

    Args:
        run: The run, with what is left to do.
        old: The stored record with this run's key, or None.
        dataset: The run's data set.
        context: Options, device and callbacks of the run.

    Attributes:
        log: The run's log.
        encoder: The encoder and how it was trained; None until training has ended.
        protocols: Protocol id to its measurement.
        evaluate_s: Seconds of evaluation, summed over all sessions.
        peak_memory_mb: Peak memory in MB of earlier sessions.
    """

    def __init__(self, run: PlannedRun, old: Record | None, dataset: Dataset, context: RunContext) -> None:
        self.run, self.dataset, self.context = run, dataset, context
        self.log = RunLog(context.store.log_path(run.identity), context.on_message)
        self.encoder: TrainedEncoder | None = None
        self.protocols: dict[str, Measurement] = {}
        self.evaluate_s = 0.0
        self.peak_memory_mb = 0.0
        if old is not None and old.identity == run.identity and run.reason != "forced":
            self.protocols = {name: m for name, m in old.protocols.items() if name not in run.protocols}
            self.evaluate_s = old.cost.evaluate_s or 0.0
            self.peak_memory_mb = old.cost.peak_memory_mb or 0.0

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
        )
        environment = describe(
            encoder.device if encoder else device_name(device),
            encoder.precision if encoder else "32-true",
            encoder.threads if encoder else self.context.options.threads,
        )
        return Record(
            identity=self.run.identity,
            status=status,
            cause=cause,
            protocols=dict(sorted(self.protocols.items())),
            curve=training.curve if training else {},
            cost=cost,
            environment=environment,
            classes=self.dataset.traits.classes,
        )


def first_log_lines(run: PlannedRun, context: RunContext) -> str:
    """Return the lines with which a session of the run starts in its log."""
    identity, threads = run.identity, context.options.threads
    environment = describe(device_name(context.torch_device), "", threads)
    versions = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    settings = f" with {settings_text(identity.settings)}" if identity.settings else ""
    return (
        f"start ({run.reason}): {identity.method}{settings} on {identity.dataset} ({identity.task}), {identity.backbone}, "
        f"{identity.budget}: {identity.epochs} epochs, batch {identity.batch}, seed {identity.seed}; "
        f"protocols {', '.join(run.protocols)}\n"
        f"{environment['device']} ({environment['processor']}), threads {threads}\n"
        f"python {environment['python']}, {versions}, commit {environment['commit']}"
    )


def _peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory of this process: of the GPU if the run used one, else of main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux its peak includes that of the parent process.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
