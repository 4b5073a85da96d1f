"""The interface of a tracker, which receives the figures of one run while it is carried out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TRAINING = ("pretrain/", "watch/")
"""Beginnings of the names of figures that belong to a step of the training."""
_LONGEST = 250
"""Characters of the name of a figure."""


@dataclass(frozen=True)
class TrackedRun:
    """A run as trackers know it.

    Attributes:
        name: Name of the run: ``digits/resnet9_slim/quick/simclr/seed-0``, with ``val/`` in front on the development task.
        digest: Hash of the run's identity.
        tags: The identity in texts.
        folder: Absolute folder of the trackers in the results folder.
        repeated: Whether an earlier run of this identity is repeated (``--force``): the tracker begins a new run.
    """

    name: str
    digest: str
    tags: Mapping[str, str]
    folder: Path
    repeated: bool = False


class Tracker(Protocol):
    """Writes the figures of one run. Whatever it raises ends the tracking of this run, and nothing else."""

    def start(self, run: TrackedRun, step: int | None) -> Mapping[str, int]:
        """Begin a run, or continue the one that has this digest.

        Args:
            run: The run.
            step: Training steps that are done; None if nothing is trained in this session.

        Returns:
            The last step of each figure of the training that the tracker holds and keeps.
        """

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add figures of the training after ``step`` steps; steps never decrease."""

    def scores(self, step: int, protocol: str, metrics: Mapping[str, float]) -> None:
        """Add the metrics of a protocol, measured on the encoder after ``step`` steps."""

    def end(self, status: str, cause: str | None) -> None:
        """End the run with the status of its record (``ok``, ``interrupted``, …) and why; it may be continued later."""


def allowed(name: str) -> str:
    """Return a name in the characters that every tracker allows; names of parts of a loss come from plugins."""
    return re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)[:_LONGEST]


def renamed(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures under names that every tracker allows."""
    return {allowed(name): value for name, value in figures.items()}
