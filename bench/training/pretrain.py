"""The training loop: precision, optimiser, schedule, checkpoint, resume."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from lightning_fabric import Fabric
from torch import Tensor

from bench import seeds
from bench.device import all_on_device, set_threads, synchronise, threads_of_process
from bench.errors import SslbenchError, Stopped
from bench.records.checkpoints import load_checkpoint, save_checkpoint
from bench.records.record import EXTENDED_FROM, watched_text
from bench.training import optimizers
from bench.training.batches import Images, Indices, gathered, shuffled, steps_per_epoch
from bench.training.context import Progress, RunContext
from bench.training.finite import FiniteState, gradient_norm
from bench.training.job import PretrainingSet, Trained, TrainingJob
from bench.training.loss_history import LossHistory
from bench.training.masks import drawn
from bench.training.returned import check_groups, check_loss, in_function
from methods.base import Batch, Method

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # hides its message about the precision


def pretrain(method: Method, data: PretrainingSet, job: TrainingJob, context: RunContext) -> Trained:
    """Train a method in place.

    Every random number is drawn from a generator that is derived from the run's seed, a purpose and the step. A killed run therefore
    resumes from its checkpoint and ends with the same numbers. An extended run resumes from the finished run in the same way; from
    that step on, its learning rate and its progress are those of a training of the new length. With a constant learning rate, and a
    method that does not use the progress, it ends with the numbers of a run that had the new length from the start.

    Raises:
        Diverged: A loss, the gradient or a tensor of the method became NaN or infinite, or is so in a checkpoint.
        Stopped: ``context.keep_going`` returned False.
        SslbenchError: The last checkpoint of the run to extend is missing, or the method returned something that the contract does
            not allow.
        DamagedFile: The last checkpoint of the run to extend is damaged.
        StorageError: A checkpoint cannot be written.
    """
    identity, device, team = job.identity, context.torch_device, context.team
    checkpoint = context.store.checkpoint_path(identity)
    per_epoch = steps_per_epoch(len(data), identity.batch)
    steps = per_epoch * identity.epochs

    fabric = Fabric(
        accelerator="cuda" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=job.precision,
    )
    method.to(device).to(memory_format=torch.channels_last).train()
    with in_function("parameter_groups"):
        groups = check_groups(method.parameter_groups())
    optimizer = optimizers.build(groups, job.recipe, identity.batch, device)
    losses = LossHistory(steps, per_epoch)
    state = FiniteState(method, optimizer)
    trained = _resume(method, optimizer, losses, job, context)
    trained.watched = losses.watched
    first = losses.done
    if first:
        losses.check()
        state.check(f"in the checkpoint of step {first} of {steps}")
    if team is not None:
        team.equalise(method)
    for observer in job.observers:
        observer.begin(first // per_epoch)
    context.tracking.start(first, _figures(losses.new_points(), losses.watched))
    # A hook sees the loss before Fabric converts it to float32.
    checking = method.register_forward_hook(lambda _, inputs, loss: check_loss(loss))
    model, fabric_optimizer = fabric.setup(method, optimizer)

    def save(path: Path) -> None:
        losses.check()
        state.check(f"by step {losses.done} of {steps}")
        if team is None or team.rank == 0:
            save_checkpoint(path, identity, _state(method, optimizer, losses, trained))

    started = time.monotonic() - trained.seconds
    saved = time.monotonic()
    if first and first % per_epoch == 0:
        # The last session may have been stopped while it observed this epoch.
        started += _observe(job, method, first // per_epoch, losses, trained, context)
    order = shuffled(len(data), identity.batch, identity.seed, range(first, steps), data.images.device)
    part = slice(None) if team is None else team.rows(identity.batch).part
    batches = gathered(data.images, order, device, part)
    masks = drawn(method, identity.batch, identity.seed, range(first, steps), device)
    for step, (indices, images) in enumerate(batches, first):
        epoch, position = divmod(step, per_epoch)
        batch = _batch(indices, images, next(masks), step, data.labels, job, context)
        progress = step / steps

        optimizers.schedule(optimizer, job.recipe, step, steps)
        seeds.seed_everything(identity.seed, "method", step)
        with in_function("forward", batch), nullcontext() if team is None else team.dividing():
            loss = model(batch, progress)
        optimizer.zero_grad(set_to_none=True)
        with in_function("the backward pass of forward", batch):
            fabric.backward(loss.total)
        if team is not None:
            team.average_gradients(method)
        gradient = gradient_norm(fabric, model, fabric_optimizer, job.recipe.clip)
        with in_function("before_step"):
            method.before_step(progress)
        fabric_optimizer.step()
        with in_function("after_step"):
            method.after_step((step + 1) / steps)

        losses.add(loss, gradient)
        for number, mean in losses.new_epochs():
            job.log(f"epoch {number}/{identity.epochs}: loss {mean:.6g}")
        trained.seconds = time.monotonic() - started
        speed = (step + 1) * identity.batch / max(trained.seconds, 1e-9)
        for number, point in _figures(losses.new_points(), {}).items():
            rate = optimizer.param_groups[0]["lr"]
            context.tracking.log(number, point | {"pretrain/rate": rate, "pretrain/images_per_s": speed})
        if position + 1 == per_epoch:
            started += _observe(job, method, epoch + 1, losses, trained, context)
        context.on_progress(
            Progress("pretrain", step + 1, steps, epoch + 1, identity.epochs, losses.last, speed, losses.last_watched)
        )
        stop = not context.keep_going()
        stop = stop if team is None else team.decide(stop)
        due = time.monotonic() - saved >= context.options.checkpoint_seconds
        if stop or (due and step + 1 < steps):
            save(checkpoint)
            saved = time.monotonic()
        if stop:
            raise Stopped(f"stopped at epoch {epoch + 1} of {identity.epochs}")
    synchronise(device)
    trained.seconds = time.monotonic() - started
    trained.images_per_s = steps * identity.batch / max(trained.seconds, 1e-9)
    save(context.store.last_path(identity))
    checking.remove()
    method.eval()
    return trained


def _batch(
    indices: Indices,
    images: Images,
    masks: Any,
    step: int,
    labels: Int[Tensor, " images"] | None,
    job: TrainingJob,
    context: RunContext,
) -> Batch:
    seed, device, team = job.identity.seed, context.torch_device, context.team
    with in_function("views"):
        generator = seeds.generator(seed, "views", step, device=device)
        if team is None:
            views = job.views(images, generator)
        else:
            own = job.views(images, generator, team.rows(len(indices)))
            views = [team.gather(view, len(indices)) for view in own]
    return Batch(
        views=[v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v for v in views],
        masks=all_on_device(masks, device),
        indices=indices,
        labels=None if labels is None else labels[indices],
        generator=seeds.generator(seed, "batch", step, device=device),
    )


def _observe(
    job: TrainingJob, method: Method, epoch: int, losses: LossHistory, trained: Trained, context: RunContext
) -> float:
    """Call each observer if this epoch is one of its epochs or the last one; return the seconds that this took."""
    epochs = job.identity.epochs
    due = [observer for observer in job.observers if epoch % observer.every == 0 or epoch == epochs]
    if not due:
        return 0.0
    synchronise(context.torch_device)
    first = began = time.monotonic()
    for observer in due:
        figures = observer.take(method, epoch, losses.mean_of(epoch))
        if figures and epoch not in losses.watched.get("epoch", ()):
            losses.watch(epoch, figures)
            job.log(f"epoch {epoch}/{epochs}: {', '.join(watched_text(figures))}")
            context.tracking.log(losses.done, _watched_names(figures))
            trained.watch_s += time.monotonic() - began
        began = time.monotonic()
    return time.monotonic() - first


def _figures(
    points: Mapping[int, Mapping[str, float]], watched: Mapping[str, Sequence[float]]
) -> dict[int, dict[str, float]]:
    """Return points of the loss curve and watched figures by step, under their names in trackers."""
    found = {step: {f"pretrain/{name}": value for name, value in point.items()} for step, point in points.items()}
    for position, step in enumerate(watched.get("step", ())):
        figures = {name: values[position] for name, values in watched.items() if name not in ("epoch", "step")}
        found.setdefault(int(step), {}).update(_watched_names(figures))
    return dict(sorted(found.items()))


def _watched_names(figures: Mapping[str, float]) -> dict[str, float]:
    return {f"watch/{name}": value for name, value in figures.items()}


def _resume(
    method: Method, optimizer: torch.optim.Optimizer, losses: LossHistory, job: TrainingJob, context: RunContext
) -> Trained:
    """Resume from the run's own checkpoint, or from the finished run that it extends; return the training's results so far."""
    state = load_checkpoint(context.store.checkpoint_path(job.identity), job.identity)
    source = "checkpoint"
    if state is None and job.extends is not None:
        state = load_checkpoint(context.store.last_path(job.extends), job.extends)
        source = f"finished training of {job.extends.epochs} epochs"
    if state is None and EXTENDED_FROM in job.identity.settings:
        raise SslbenchError("the last checkpoint of the run to extend is missing; run it again with --force")
    devices = 1 if context.team is None else context.team.size
    threads = threads_of_process(context.options.threads, devices)
    if state is not None and state.get("devices", 1) == devices:
        threads = state["threads"]
    set_threads(threads)
    if state is None:
        return Trained(losses.curve, threads=threads, devices=devices)
    method.load_state_dict(state["method"])
    optimizer.load_state_dict(state["optimizer"])
    losses.load(state["losses"], context.torch_device)
    losses.watched = {name: list(values) for name, values in state.get("watched", {}).items()}
    job.log(f"{source} resumed after step {losses.done} of {losses.steps}")
    return Trained(
        losses.curve,
        watch_s=state.get("watch_s", 0.0),
        seconds=state["seconds"],
        threads=threads,
        devices=devices,
        resumed_at=losses.done,
    )


def _state(method: Method, optimizer: torch.optim.Optimizer, losses: LossHistory, trained: Trained) -> dict[str, Any]:
    """Return the content of a checkpoint."""
    return {
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": losses.state(),
        "watched": losses.watched,
        "watch_s": trained.watch_s,
        "seconds": trained.seconds,
        "threads": trained.threads,
        "devices": trained.devices,
    }
