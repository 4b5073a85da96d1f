"""The training loop: precision, optimiser, schedule, checkpoint, resume."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, UInt8
from lightning_fabric import Fabric
from torch import Tensor

from bench import optimizers, seeds
from bench.checkpoint import load_checkpoint, save_checkpoint
from bench.device import Precision, set_threads
from bench.errors import Diverged, Stopped
from bench.records import Identity
from methods.base import Batch, Method, Recipe

CURVE_POINTS = 200
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells the precision of every run
Images = UInt8[Tensor, "images channels size size"]


@dataclass(frozen=True)
class PretrainingSet:
    """The images that pretraining sees, on the device where they fit, and their labels for ``supervised``."""

    images: Images
    labels: Int[Tensor, " images"] | None = None

    def __len__(self) -> int:
        return len(self.images)


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


def steps_an_epoch(images: int, batch: int) -> int:
    """Return the steps of one epoch; the last incomplete batch is dropped."""
    return images // batch


def pretrain(method: Method, data: PretrainingSet, training: Training) -> Trained:
    """Train a method in place.

    Every random number is drawn from a generator that is derived from the run's seed, a purpose and the step. So a run
    that was killed goes on from its checkpoint with the very numbers that it would have had.

    Raises:
        Diverged: The loss became NaN or infinite.
        Stopped: ``keep_going`` said no.
        StorageError: A checkpoint cannot be read or written.
    """
    identity, device = training.identity, training.device
    per_epoch = steps_an_epoch(len(data), identity.batch)
    steps = per_epoch * identity.epochs
    window = max(1, math.ceil(steps / CURVE_POINTS))

    fabric = Fabric(
        accelerator="cuda" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=training.precision,
    )
    method.to(device).to(memory_format=torch.channels_last).train()
    optimizer = optimizers.build(method.parameter_groups(), training.recipe, identity.batch, device)
    first, trained, waiting = _continued(method, optimizer, training)
    model, stepper = fabric.setup(method, optimizer)
    collate = method.collate(method.settings, method.traits)

    started = time.monotonic() - trained.seconds
    saved = time.monotonic()
    order = torch.empty(0, dtype=torch.int64)
    last_loss: float | None = None
    for step in range(first, steps):
        epoch, position = divmod(step, per_epoch)
        if position == 0 or step == first:
            order = torch.randperm(len(data), generator=seeds.generator(identity.seed, "order", epoch))
        batch = _batch(order, position, step, data, training, collate)
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

        waiting.append({"loss": loss.total.detach(), **{k: v.detach() for k, v in loss.parts.items()}})
        if len(waiting) == window or step + 1 == steps:
            last_loss = _add_point(trained.curve, step + 1, waiting)
            waiting = []
        trained.seconds = time.monotonic() - started
        training.on_step(step + 1, steps, last_loss, (step + 1) * identity.batch / max(trained.seconds, 1e-9))
        stop = not training.keep_going()
        due = time.monotonic() - saved >= training.checkpoint_seconds
        if training.checkpoint is not None and (stop or (due and step + 1 < steps)):
            _save(training, method, optimizer, step + 1, trained, waiting)
            saved = time.monotonic()
        if stop:
            raise Stopped(f"stopped at epoch {epoch + 1} of {identity.epochs}")
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    trained.seconds = time.monotonic() - started
    trained.images_per_s = steps * identity.batch / max(trained.seconds, 1e-9)
    method.eval()
    return trained


def _batch(order: Tensor, position: int, step: int, data: PretrainingSet, training: Training, collate: Any) -> Batch:
    identity, device = training.identity, training.device
    indices = order[position * identity.batch : (position + 1) * identity.batch].to(data.images.device)
    images = data.images[indices].to(device, non_blocking=True)
    views = training.views(images, seeds.generator(identity.seed, "views", step, device=device))
    masks = collate(len(indices), seeds.generator(identity.seed, "masks", step)) if collate else None
    return Batch(
        views=[v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v for v in views],
        masks=masks,
        indices=indices.to(device),
        labels=None if data.labels is None else data.labels[indices].to(device),
        generator=seeds.generator(identity.seed, "batch", step, device=device),
    )


def _add_point(curve: dict[str, list[float]], step: int, waiting: list[dict[str, Tensor]]) -> float:
    for name in waiting[0]:
        value = torch.stack([losses[name].float() for losses in waiting]).mean().item()
        if not math.isfinite(value):
            raise Diverged(f"{name} became {value} within the {len(waiting)} steps before step {step}")
        curve.setdefault(name, []).append(value)
    curve.setdefault("step", []).append(step)
    return curve["loss"][-1]


def _continued(
    method: Method, optimizer: torch.optim.Optimizer, training: Training
) -> tuple[int, Trained, list[dict[str, Tensor]]]:
    """Return the first step to do, the story so far, and the losses not yet averaged."""
    state = load_checkpoint(training.checkpoint, training.identity) if training.checkpoint is not None else None
    if state is None:
        set_threads(training.threads)
        return 0, Trained(threads=training.threads), []
    set_threads(state["threads"])
    method.load_state_dict(state["method"])
    optimizer.load_state_dict(state["optimizer"])
    trained = Trained(state["curve"], state["seconds"], threads=state["threads"], continued=state["step"])
    return (
        state["step"],
        trained,
        [{k: v.to(training.device) for k, v in losses.items()} for losses in state["waiting"]],
    )


def _save(
    training: Training,
    method: Method,
    optimizer: torch.optim.Optimizer,
    step: int,
    trained: Trained,
    waiting: list[dict[str, Tensor]],
) -> None:
    assert training.checkpoint is not None
    state = {
        "step": step,
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "curve": trained.curve,
        "waiting": waiting,
        "seconds": trained.seconds,
        "threads": trained.threads,
    }
    save_checkpoint(training.checkpoint, training.identity, state)
