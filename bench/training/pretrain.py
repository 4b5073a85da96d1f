"""The training loop: precision, optimiser, schedule, checkpoint, resume."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Int
from lightning_fabric import Fabric
from torch import Tensor

from bench import seeds
from bench.device import Precision, set_threads
from bench.errors import SslbenchError, Stopped
from bench.records.checkpoints import load_checkpoint, save_checkpoint
from bench.records.record import EXTENDED_FROM, Identity
from bench.training import optimizers
from bench.training.batches import Images, Indices, gathered, shuffled, steps_an_epoch
from bench.training.loss_history import LossHistory
from methods.base import Batch, Method, Recipe

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells the precision of every run


@dataclass(frozen=True)
class PretrainingSet:
    """The images that pretraining sees, on the device where they fit there, and their labels for ``supervised``, on the device."""

    images: Images
    labels: Int[Tensor, " images"] | None = None

    def __len__(self) -> int:
        return len(self.images)


class Snapshots(Protocol):
    """What looks at the encoder every so many epochs, without a trace in the training."""

    every: int

    def begin(self, epoch: int) -> None:
        """Forget what was seen after an epoch (0: all): training goes on from there."""

    def take(self, method: Method, epoch: int, loss: float) -> None:
        """Look at the encoder after an epoch, from 1, with its mean loss."""


@dataclass(frozen=True)
class Finished:
    """A finished training to go on from: where its last state lies, and whose it is."""

    path: Path
    identity: Identity


@dataclass(frozen=True)
class Training:
    """How one method is trained.

    Attributes:
        identity: Of the run; a checkpoint of another identity is not continued.
        recipe: The optimiser's.
        views: uint8 images and a generator to normalised float32 views.
        device: Where.
        precision: bf16 or float32.
        threads: Of this process; a checkpoint brings its own.
        checkpoint: Where the state is kept, or None.
        checkpoint_seconds: Shortest time between two checkpoints.
        last: Where the state after the last step is kept, or None.
        extends: The finished training that this one goes on from, or None.
        snapshots: Looks at the encoder, or None.
        log: Told what the run's log should hold, a line each.
        keep_going: Asked after every step; False writes a checkpoint and raises ``Stopped``.
        on_step: Told (step, steps, the last loss that was read or None, images a second).
    """

    identity: Identity
    recipe: Recipe
    views: Callable[[Images, torch.Generator], list[Tensor]]
    device: torch.device
    precision: Precision
    threads: int
    checkpoint: Path | None = None
    checkpoint_seconds: float = 15.0
    last: Path | None = None
    extends: Finished | None = None
    snapshots: Snapshots | None = None
    log: Callable[[str], None] = lambda _: None
    keep_going: Callable[[], bool] = lambda: True
    on_step: Callable[[int, int, float | None, float], None] = lambda *_: None


@dataclass
class Trained:
    """What training left behind, besides the weights.

    Attributes:
        curve: ``step``, ``loss`` and each named part: means over windows of steps, at most 200 points.
        seconds: Of training, over all sittings, without the time that lay between them.
        images_per_s: Images a second over that time.
        threads: Threads that were used.
        continued: The step at which a checkpoint was taken up, 0 for a fresh start.
    """

    curve: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    images_per_s: float = 0.0
    threads: int = 1
    continued: int = 0


def pretrain(method: Method, data: PretrainingSet, training: Training) -> Trained:
    """Train a method in place.

    Every random number is drawn from a generator that is derived from the run's seed, a purpose and the step. So a run
    that was killed goes on from its checkpoint with the very numbers that it would have had. A finished run that is extended goes on
    likewise, at the rates and the progress that a training of the new length has from that step on: with a constant rate, and a
    method that does not look at the progress, it ends as one that had the new length from the start.

    Raises:
        Diverged: The loss became NaN or infinite.
        Stopped: ``keep_going`` said no.
        SslbenchError: The training to go on from has left no state.
        StorageError: A checkpoint cannot be read or written.
    """
    identity, device = training.identity, training.device
    per_epoch = steps_an_epoch(len(data), identity.batch)
    steps = per_epoch * identity.epochs

    fabric = Fabric(
        accelerator="cuda" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=training.precision,
    )
    method.to(device).to(memory_format=torch.channels_last).train()
    optimizer = optimizers.build(method.parameter_groups(), training.recipe, identity.batch, device)
    losses = LossHistory(steps, per_epoch)
    trained = _continued(method, optimizer, losses, training)
    first = losses.done
    if training.snapshots is not None:
        training.snapshots.begin(first // per_epoch)
    model, stepper = fabric.setup(method, optimizer)
    collate = method.collate(method.settings, method.traits)

    started = time.monotonic() - trained.seconds
    saved = time.monotonic()
    drawn = shuffled(len(data), identity.batch, identity.seed, range(first, steps), data.images.device)
    for step, (indices, images) in enumerate(gathered(data.images, drawn, device), first):
        epoch, position = divmod(step, per_epoch)
        batch = _batch(indices, images, step, data.labels, training, collate)
        progress = step / steps

        optimizers.schedule(optimizer, training.recipe, step, steps)
        seeds.seed_everything(identity.seed, "method", step)
        loss = model(batch, progress)
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss.total)
        if training.recipe.clip is not None:
            fabric.clip_gradients(model, stepper, max_norm=training.recipe.clip)
        method.before_step(progress)
        stepper.step()
        method.after_step((step + 1) / steps)

        losses.add(loss)
        for number, mean in losses.new_epochs():
            training.log(f"epoch {number}/{identity.epochs}: loss {mean:.6g}")
        trained.seconds = time.monotonic() - started
        if training.snapshots is not None and position + 1 == per_epoch:
            started += _look(training.snapshots, method, epoch + 1, identity.epochs, losses)
        training.on_step(step + 1, steps, losses.last, (step + 1) * identity.batch / max(trained.seconds, 1e-9))
        stop = not training.keep_going()
        due = time.monotonic() - saved >= training.checkpoint_seconds
        if training.checkpoint is not None and (stop or (due and step + 1 < steps)):
            _save(training.checkpoint, identity, method, optimizer, losses, trained)
            saved = time.monotonic()
        if stop:
            raise Stopped(f"stopped at epoch {epoch + 1} of {identity.epochs}")
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    trained.seconds = time.monotonic() - started
    trained.images_per_s = steps * identity.batch / max(trained.seconds, 1e-9)
    if training.last is not None:
        _save(training.last, identity, method, optimizer, losses, trained)
    method.eval()
    return trained


def _batch(
    indices: Indices,
    images: Images,
    step: int,
    labels: Int[Tensor, " images"] | None,
    training: Training,
    collate: Callable[[int, torch.Generator], Any] | None,
) -> Batch:
    seed, device = training.identity.seed, training.device
    views = training.views(images, seeds.generator(seed, "views", step, device=device))
    return Batch(
        views=[v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v for v in views],
        masks=collate(len(indices), seeds.generator(seed, "masks", step)) if collate else None,
        indices=indices,
        labels=None if labels is None else labels[indices],
        generator=seeds.generator(seed, "batch", step, device=device),
    )


def _look(snapshots: Snapshots, method: Method, epoch: int, epochs: int, losses: LossHistory) -> float:
    """Take a snapshot where one is due; return the seconds that it took."""
    if epoch % snapshots.every and epoch != epochs:
        return 0.0
    began = time.monotonic()
    snapshots.take(method, epoch, losses.mean_of(epoch))
    return time.monotonic() - began


def _continued(method: Method, optimizer: torch.optim.Optimizer, losses: LossHistory, training: Training) -> Trained:
    """Take up the training's own checkpoint, or the state that it extends; return the story so far."""
    state = load_checkpoint(training.checkpoint, training.identity) if training.checkpoint is not None else None
    taken_up = "checkpoint"
    if state is None and training.extends is not None:
        state = load_checkpoint(training.extends.path, training.extends.identity)
        taken_up = f"finished training of {training.extends.identity.epochs} epochs"
    if state is None and EXTENDED_FROM in training.identity.settings:
        raise SslbenchError("the state of the finished training to go on from is not there; run that again")
    if state is None:
        set_threads(training.threads)
        return Trained(losses.curve, threads=training.threads)
    set_threads(state["threads"])
    method.load_state_dict(state["method"])
    optimizer.load_state_dict(state["optimizer"])
    losses.load(state["losses"], training.device)
    training.log(f"{taken_up} taken up after step {losses.done} of {losses.steps}")
    return Trained(losses.curve, state["seconds"], threads=state["threads"], continued=losses.done)


def _save(
    path: Path,
    identity: Identity,
    method: Method,
    optimizer: torch.optim.Optimizer,
    losses: LossHistory,
    trained: Trained,
) -> None:
    state = {
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": losses.state(),
        "seconds": trained.seconds,
        "threads": trained.threads,
    }
    save_checkpoint(path, identity, state)
