"""What the training loop receives for one run, and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from jaxtyping import Int
from torch import Tensor

from bench.device import Precision
from bench.records.record import Identity
from methods.base import Method, Recipe
from protocols.base import StoredImages


@dataclass(frozen=True)
class PretrainingSet:
    """The images for pretraining, on the device if they fit there, and the labels for ``supervised``, always on the device."""

    images: StoredImages
    labels: Int[Tensor, " images"] | None = None

    def __len__(self) -> int:
        return len(self.images)


class EpochObserver(Protocol):
    """Observes the encoder every few epochs without changing the training."""

    every: int

    def begin(self, epoch: int) -> None:
        """Discard what was observed after an epoch (0: discard all), because training continues from there."""

    def take(self, method: Method, epoch: int, loss: float) -> Mapping[str, float]:
        """Observe the encoder after an epoch, counted from 1, with the epoch's mean loss; return figures for the record, or none."""


@dataclass(frozen=True)
class TrainingJob:
    """What the training loop needs for one run.

    Attributes:
        identity: The run's identity; a checkpoint of another identity is not resumed.
        recipe: Optimiser, learning rate and schedule.
        views: (uint8 images, generator) -> normalised float32 views; on several devices it also receives the images' rows.
        precision: bf16 or float32.
        extends: The finished run whose training this one continues, or None.
        observers: They observe the encoder every few epochs.
        log: Receives lines for the run's log.
    """

    identity: Identity
    recipe: Recipe
    views: Callable[..., list[Tensor]]
    precision: Precision
    extends: Identity | None = None
    observers: Sequence[EpochObserver] = ()
    log: Callable[[str], None] = lambda _: None


@dataclass
class Trained:
    """Results of training, besides the weights.

    Attributes:
        curve: ``step``, ``loss`` and each named part: means over windows of steps, at most 200 points.
        watched: ``epoch``, ``step`` and each watched figure; empty if nothing was watched.
        watch_s: Seconds of watching, which are not part of ``seconds``, summed over all sessions of a resumed run.
        seconds: Seconds of training, summed over all sessions of a resumed run.
        images_per_s: Images per second in that time.
        threads: Number of CPU threads of each process.
        devices: Number of devices of the last session.
        resumed_at: Number of steps done before this session; 0 if it started from the beginning.
    """

    curve: dict[str, list[float]] = field(default_factory=dict)
    watched: dict[str, list[float]] = field(default_factory=dict)
    watch_s: float = 0.0
    seconds: float = 0.0
    images_per_s: float = 0.0
    threads: int = 1
    devices: int = 1
    resumed_at: int = 0
