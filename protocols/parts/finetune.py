"""The training loop of every protocol that trains a network or a head, and the predictions of a network."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from protocols.base import Augmentation, NotFinite, StoredImages, Task
from protocols.parts.chunks import images_at_once
from protocols.parts.heads import Classifier
from protocols.parts.training import Training
from protocols.selection import images_on_device

CHUNK_IMAGES = 2048
"""Images that are augmented at once."""
CURVE_POINTS = 50
TRAIL_POINTS = 20
"""Predictions during training, before the final one."""


@dataclass(frozen=True)
class Step:
    """Progress of training in one step.

    Attributes:
        progress: Share of the steps that is done: 0 at the first step, below 1 at the last.
        number: Number of the step, from 0.
    """

    progress: float
    number: int


Extra = Callable[[Classifier, Step], Tensor | None]
Trail = list[tuple[int, Int[Tensor, " test"]]]


def train(
    model: Classifier,
    images: StoredImages,
    targets: Int[Tensor, " n"],
    training: Training,
    task: Task,
    generator: torch.Generator,
    extra: Extra | None = None,
    trail: Trail | None = None,
) -> dict[str, list[float]]:
    """Train a classifier in place on labelled images with a cosine learning rate that falls to zero.

    The modes (eval or train) of the modules do not change. A frozen encoder runs without gradient.

    Args:
        model: The classifier.
        images: Labelled images on any device.
        targets: Their labels on the task's device.
        training: Steps, learning rates, optimiser, augmentation.
        task: Provides preparation and augmentation; it is asked before every step whether to stop.
        generator: For the order of the images and the augmentation.
        extra: Returns a loss to add in a step, for example that of unlabelled images, or None.
        trail: If given, receives the predicted classes of the test images before the first step, at 19 evenly spaced later steps and
            after the last step.

    Returns:
        The curves ``loss`` and ``accuracy`` of the labelled batches, at most 50 points each.

    Raises:
        ValueError: The loss is not finite at the end.
    """
    frozen = training.trunk_rate == 0
    if frozen:
        model.encoder.requires_grad_(False)
    groups = [{"params": list(model.head.parameters()), "lr": training.head_rate}]
    if not frozen:
        groups.append({"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": training.trunk_rate})
    optimizer: torch.optim.Optimizer
    if training.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=0.9, fused=True)
    else:
        optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    peaks = [float(group["lr"]) for group in optimizer.param_groups]
    total = training.steps_over(len(images))
    batches = augmented_batches(images, total, training.batch_of(len(images)), training.augmentation, task, generator)
    losses, hits = [], []
    watched_steps = {round(total * point / TRAIL_POINTS) for point in range(TRAIL_POINTS)}
    for number, (views, chosen) in enumerate(batches):
        task.check_stop()
        progress = number / total
        if trail is not None and number in watched_steps:
            trail.append((number, classes_of(model, task)))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (1 + math.cos(math.pi * progress)) / 2
        scores = scores_of(model, views, frozen=frozen)
        labels = targets[chosen]
        loss = nn.functional.cross_entropy(scores, labels)
        losses.append(loss.detach())
        hits.append((scores.detach().argmax(dim=1) == labels).float().mean())
        added = extra(model, Step(progress, number)) if extra else None
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss if added is None else loss + added)
        optimizer.step()
    if trail is not None:
        trail.append((total, classes_of(model, task)))
    curves = {"loss": thinned(torch.stack(losses)), "accuracy": thinned(torch.stack(hits))}
    if not math.isfinite(curves["loss"][-1]):
        raise NotFinite(
            "fine-tuning diverged: its loss is not finite; check the encoder's features and the learning rates"
        )
    return curves


def scores_of(model: Classifier, images: Float[Tensor, "batch channels size size"], *, frozen: bool) -> Tensor:
    """Return class scores; a frozen encoder builds no autograd graph."""
    if not frozen:
        return cast(Tensor, model(images))
    with torch.no_grad():
        inputs = model.standardised(model.raw(images))
    return cast(Tensor, model.head(inputs))


def order(images: int, total: int, generator: torch.Generator) -> Int[Tensor, " total"]:
    """Return ``total`` indices of ``images`` images: one random permutation after another."""
    rounds = math.ceil(total / images)
    device = generator.device
    return torch.cat([torch.randperm(images, generator=generator, device=device) for _ in range(rounds)])[:total]


def augmented_batches(
    images: StoredImages, steps: int, batch: int, kind: Augmentation, task: Task, generator: torch.Generator
) -> Iterator[tuple[Float[Tensor, "batch channels size size"], Int[Tensor, " batch"]]]:
    """Yield, per step, prepared views and the indices of their images; small images are augmented for many steps at once."""
    indices = order(len(images), steps * batch, generator)
    images = images_on_device(images, task.device, task.room)
    chunk = max(1, images_at_once(CHUNK_IMAGES, images, task) // batch) * batch
    for part in torch.split(indices, chunk):
        task.check_stop()
        (views,) = task.augment(images[part.to(images.device)].to(task.device), kind, generator)
        yield from zip(torch.split(task.prepare(views), batch), torch.split(part, batch), strict=True)


def thinned(values: Float[Tensor, " steps"]) -> list[float]:
    """Return a curve of at most 50 points: the means of equal parts of ``values``."""
    parts = torch.tensor_split(values.double(), min(CURVE_POINTS, len(values)))
    return cast(list[float], torch.stack([part.mean() for part in parts]).tolist())


@torch.no_grad()
def log_probabilities(
    model: Classifier, images: StoredImages, task: Task, batch: int = 512
) -> Float[Tensor, "n classes"]:
    """Return float32 log-probabilities on the CPU, computed in eval mode; the modes of the modules are restored."""
    batch = images_at_once(batch, images, task)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    parts = []
    for start in range(0, len(images), batch):
        task.check_stop()
        parts.append(torch.log_softmax(model(task.prepare(images[start : start + batch])).float(), dim=1))
    for module, mode in modes:
        module.training = mode
    return torch.cat(parts).cpu()


def classes_of(model: Classifier, task: Task) -> Int[Tensor, " test"]:
    """Return the class that the model predicts for each test image."""
    return log_probabilities(model, task.test_images, task).argmax(dim=1)


def mean_curves(curves: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Return the mean of each curve over draws."""
    return {
        name: torch.tensor([curve[name] for curve in curves], dtype=torch.float64).mean(dim=0).tolist()
        for name in curves[0]
    }
