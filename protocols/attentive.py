"""``attentive``: attention pooling over the cells of the frozen feature map, then a linear layer, trained by AdamW."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from protocols.base import EncoderLike, EvaluationProtocol, NotFinite, Predictions, StoredImages, Task
from protocols.parts.attention import AttentiveClassifier
from protocols.parts.chunks import images_at_once
from protocols.parts.finetune import TRAIL_POINTS, Trail, order, thinned
from protocols.parts.labelled import Standardisation, require_every_class
from protocols.parts.rows import Rows
from protocols.ranges import Count, NotNegative, Positive, Whole

BATCH = 512
"""Images of 32 × 32 that the network processes at once."""
NUMBERS_AT_ONCE = 2**23
"""Numbers in the cells of the images that are predicted at once."""

Cells = Float[Tensor, "images cells dim"]


@dataclass(frozen=True)
class Attentive(EvaluationProtocol):
    """One attention query and a linear layer on the frozen feature map; a ViT's cells are its patch tokens, without the class token.

    The attentive probe of CAE (arXiv:2202.03026) in the form of AIM (arXiv:2401.08541), on images without augmentation: the network runs
    once, and all steps use the stored cells. The last step is measured.

    Attributes:
        heads: Largest number of attention heads.
        epochs: Least number of passes over ``train``.
        steps: Least number of steps.
        batch: Images per step.
        rate: Peak learning rate of AdamW; it falls to zero by a cosine.
        weight_decay: Weight decay of the matrices; the query and the bias have none.
    """

    heads: Count
    epochs: Whole
    steps: Whole
    batch: Count
    rate: Positive
    weight_decay: NotNegative

    def __post_init__(self) -> None:
        if self.steps == self.epochs == 0:
            raise ValueError("steps and epochs are both 0: nothing would be trained; set one of them to at least 1")

    def predict(self, task: Task) -> Predictions:
        """Return log-probabilities after the last step, and curves of loss and accuracy.

        Raises:
            ValueError: The encoder has no network or no feature map, or a class has no image in ``train``.
        """
        require_every_class(task.train_labels, task.classes, "train")
        return self.on_cells(cells_of(task.train_images, task), cells_of(task.test_images, task), task)

    def on_cells(self, train: Cells, test: Cells, task: Task) -> Predictions:
        """Train on the cells of ``train`` and predict those of the test images."""
        generator = task.generator("attentive")
        standardise = Standardisation.of(Rows(train.flatten(0, 1), None, task.device, task.check_stop))
        model = AttentiveClassifier(standardise, self.heads, task.classes, generator)
        targets = task.train_labels.to(task.device)
        trail: Trail | None = [] if task.watch else None
        curves = self._train(model, train, targets, task, generator, test, trail)
        right = log_probabilities(model, train, task).argmax(dim=1) == task.train_labels
        return Predictions(
            scores=[log_probabilities(model, test, task)],
            choices={"heads": model.heads, "steps": self.steps_over(len(train)), "cells": train.shape[1]},
            curves=curves,
            train_accuracy=[float(right.double().mean())],
            trail=trail or [],
        )

    def steps_over(self, images: int) -> int:
        """Return the number of steps for ``images`` images: at least ``steps`` and at least ``epochs`` passes."""
        return max(self.steps, -(-self.epochs * images // min(self.batch, images)))

    def _train(
        self,
        model: AttentiveClassifier,
        cells: Cells,
        targets: Int[Tensor, " images"],
        task: Task,
        generator: torch.Generator,
        test: Cells,
        trail: Trail | None,
    ) -> dict[str, list[float]]:
        matrices = [model.key, model.value, model.last.weight]
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": [model.query, model.last.bias], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.rate, fused=True)
        batch, total = min(self.batch, len(cells)), self.steps_over(len(cells))
        watched_steps = {round(total * point / TRAIL_POINTS) for point in range(TRAIL_POINTS)}
        losses, hits = [], []
        for number, chosen in enumerate(torch.split(order(len(cells), total * batch, generator), batch)):
            task.check_stop()
            if trail is not None and number in watched_steps:
                trail.append((number, log_probabilities(model, test, task).argmax(dim=1)))
            for group in optimizer.param_groups:
                group["lr"] = self.rate * (1 + math.cos(math.pi * number / total)) / 2
            scores, labels = model(cells[chosen.to(cells.device)].to(task.device)), targets[chosen]
            loss = nn.functional.cross_entropy(scores, labels)
            losses.append(loss.detach())
            hits.append((scores.detach().argmax(dim=1) == labels).float().mean())
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
        if trail is not None:
            trail.append((total, log_probabilities(model, test, task).argmax(dim=1)))
        curves = {"loss": thinned(torch.stack(losses)), "accuracy": thinned(torch.stack(hits))}
        if not math.isfinite(curves["loss"][-1]):
            raise NotFinite(
                "attentive diverged: its loss is not finite; check the encoder's features and the learning rate"
            )
        return curves


@torch.no_grad()
def cells_of(images: StoredImages, task: Task) -> Cells:
    """Return the cells of the frozen encoder's feature maps, in eval mode; many are mapped from a file.

    Raises:
        ValueError: The encoder has no network or no feature map.
    """
    if task.encoder is None:
        raise ValueError(
            "attentive runs the network to get its feature map, but this encoder has none; use linear instead"
        )
    encoder = cast(EncoderLike, task.encoder().eval())
    batch = images_at_once(BATCH, images, task)

    def parts() -> Iterator[Tensor]:
        for start in range(0, len(images), batch):
            task.check_stop()
            found = encoder.feature_map(task.prepare(images[start : start + batch]))
            if found is None:
                raise ValueError(
                    "attentive attends to the cells of a feature map, but this encoder has none; use linear instead"
                )
            yield found.float().flatten(2).transpose(1, 2).contiguous()

    return task.store(parts(), len(images))


@torch.no_grad()
def log_probabilities(model: AttentiveClassifier, cells: Cells, task: Task) -> Float[Tensor, "images classes"]:
    """Return float32 log-probabilities on the CPU."""
    count = max(1, NUMBERS_AT_ONCE // cells[0].numel())
    parts = []
    for block in torch.split(cells, count):
        task.check_stop()
        parts.append(torch.log_softmax(model(block.to(task.device)), dim=1))
    return torch.cat(parts).cpu()
