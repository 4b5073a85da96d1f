"""What a run needs in its process: options, results folder, device and callbacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.records.store import Store
from bench.tracking.tracking import Tracking
from bench.training.options import RunOptions

if TYPE_CHECKING:
    import torch

    from bench.training.team import Team


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes:
        stage: ``pretrain``, ``features`` or a protocol's id.
        done: Finished steps, images or protocols.
        total: Number of steps, images or protocols of the stage.
        epoch: Current epoch of pretraining, from 1.
        epochs: Number of epochs.
        loss: Latest mean loss, or None.
        images_per_s: Images per second of pretraining, or None.
        watched: Latest watched figures by name.
    """

    stage: str
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    images_per_s: float | None = None
    watched: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunContext:
    """What a run needs in the process that carries it out.

    Attributes:
        options: The options of all runs.
        store: The results folder.
        torch_device: Device of this run.
        keep_going: Called after every step; if it returns False, the run writes a checkpoint and stops.
        on_progress: Receives the run's progress.
        on_message: Receives lines for the user.
        tracking: The trackers of this run.
        team: The processes that train this run together; None for one device.
    """

    options: RunOptions
    store: Store
    torch_device: "torch.device"
    keep_going: Callable[[], bool] = lambda: True
    on_progress: Callable[[Progress], None] = lambda _: None
    on_message: Callable[[str], None] = lambda _: None
    tracking: Tracking = field(default_factory=Tracking)
    team: "Team | None" = None
