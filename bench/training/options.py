"""How runs are carried out: the options that all runs of a command share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.data.spec import DatasetSpec

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class RunOptions:
    """Options of all runs of one command; small and picklable, because the process of every run receives them.

    Attributes:
        results: The results folder.
        dataset: The data set, which the process of every run loads.
        device: Value of ``--device``: ``auto``, ``cpu``, ``cuda`` (all GPUs) or ``cuda:N``.
        threads: CPU threads per run; the session sets this number by the image size.
        devices: Number of devices, and processes, that train each run together.
        checkpoint_seconds: Shortest time between two checkpoints of a run.
        snapshots: Epochs between two snapshots of the features, or None for no snapshots.
        watch: Epochs between two measurements of kNN on ``val`` and RankMe during training, or None for none.
        answers: Id of the protocol whose answers to the test images are kept after every epoch, or None; only a study sets it.
        track: Names of the trackers that receive the figures of each run.
        plugins: Files and modules that define methods and protocols.
        jobs: Number of runs at the same time: ``auto`` or a number.
        engine: What carries out the runs: ``local`` (this machine) or ``ray``.
        address: Address of the Ray cluster; None for ``RAY_ADDRESS``, or this machine if that is not set.
        devices_per_run: GPUs of a Ray cluster that each run gets, a fraction to share one; None for one.
    """

    results: Path
    dataset: DatasetSpec
    device: str = "auto"
    threads: int = 1
    devices: int = 1
    checkpoint_seconds: float = 15.0
    snapshots: int | None = None
    watch: int | None = None
    answers: str | None = None
    track: Sequence[str] = ()
    plugins: Sequence[str] = ()
    jobs: str = "auto"
    engine: EngineName = "local"
    address: str | None = None
    devices_per_run: float | None = None
