"""What a run needs besides itself, and what it tells of its progress."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.records.store import Store


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        stage: ``pretrain``, ``features`` or the protocol's id.
        done: Steps, images or protocols that are done.
        total: Of how many.
        epoch: The epoch, in pretraining, from 1.
        epochs: Of how many.
        loss: The last loss that was read.
        images_per_s: In pretraining.
    """

    stage: str
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    images_per_s: float | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a run needs besides itself.

    Attributes:
        store: Where records, encoders, checkpoints, logs and snapshots lie.
        device: Where it computes.
        threads: Of this process for the run.
        checkpoint_seconds: Shortest time between two checkpoints.
        snapshots: How many epochs lie between two snapshots; None for none.
        keep_going: False asks the run to stop.
        tell: Told where the run is.
        say: Told one line that the user should read.
    """

    store: Store
    device: torch.device
    threads: int
    checkpoint_seconds: float
    snapshots: int | None = None
    keep_going: Callable[[], bool] = lambda: True
    tell: Callable[[Progress], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None
