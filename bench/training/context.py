"""The options of a run, opened in the process that carries it out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.records.store import Store
from bench.training.options import RunOptions


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: ``pretrain``, ``features`` or a protocol's id.
        done: Finished steps, images or protocols.
        total: Number of steps, images or protocols of the stage.
        epoch: Current epoch of pretraining, from 1.
        epochs: Number of epochs.
        loss: The last mean loss that was read from the device.
        images_per_s: Speed of pretraining.
    """

    stage: str
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    images_per_s: float | None = None


@dataclass(frozen=True)
class RunContext:
    """What a run needs to be carried out in this process.

    Attributes:
        options: The options of all runs.
        store: The results folder.
        torch_device: Where this run computes.
        keep_going: Asked after every step; False stops the run after it has written a checkpoint.
        on_progress: Receives the progress.
        on_message: Receives lines that the user should read.
    """

    options: RunOptions
    store: Store
    torch_device: torch.device
    keep_going: Callable[[], bool] = lambda: True
    on_progress: Callable[[Progress], None] = lambda _: None
    on_message: Callable[[str], None] = lambda _: None
