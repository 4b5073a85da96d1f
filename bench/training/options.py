"""How runs are carried out: what ``sslbench run`` decides once and hands on to every process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.spec import DatasetSpec


@dataclass(frozen=True)
class RunOptions:
    """Options of all runs of one command. Small and picklable: every run's process receives them as they are.

    Attributes:
        results: The results folder.
        dataset: The data set; every run loads it itself.
        device: As given to ``--device``: ``auto``, ``cpu``, ``cuda`` (all GPUs) or ``cuda:N``.
        threads: CPU threads per run; the session sets them by a rule on the image size.
        checkpoint_seconds: Shortest time between two checkpoints of a run.
        snapshots: Epochs between two snapshots of the features, or None for no snapshots.
        plugins: Files and modules that bring methods and protocols.
        jobs: Runs at a time: ``auto`` or a number.
    """

    results: Path
    dataset: DatasetSpec
    device: str = "auto"
    threads: int = 1
    checkpoint_seconds: float = 15.0
    snapshots: int | None = None
    plugins: Sequence[str] = ()
    jobs: str = "auto"
