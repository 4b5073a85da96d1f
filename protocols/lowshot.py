"""``lowshot-<labels>``: the whole network, or a head on the frozen network, trained on a few labels; ``scratch-<labels>``: random weights."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from protocols.base import EvaluationProtocol, Predictions, Task
from protocols.lowshot_frozen import probe
from protocols.parts.chunks import images_at_once
from protocols.parts.finetune import Extra, log_probabilities, mean_curves, train
from protocols.parts.heads import Classifier, HeadKind
from protocols.parts.labelled import Standardisation, labelled
from protocols.parts.rows import rows_of
from protocols.parts.subsets import fixed_subset
from protocols.parts.training import Training
from protocols.ranges import Count, Positive
from protocols.selection import selected

MEASURED_IMAGES = 2048
"""Images of ``train`` that give an mlp or conv head its standardisation and batch-norm statistics."""


@dataclass(frozen=True)
class Lowshot(EvaluationProtocol):
    """Training on the labelled images of each draw.

    Batch normalisation of a pretrained encoder stays in eval mode: the statistics of a batch of ten images are useless. An encoder with
    random weights (``encoder="scratch"``) has no statistics and is trained in train mode.

    Attributes:
        labels: Labels per draw: images per class, or percent.
        draws: Number of label sets.
        training: Steps, learning rates, optimiser.
        encoder: Whether the network starts pretrained or with random weights.
        head: Kind of head on the encoder.
        start: Start of a linear head: at zero, or at the logistic regression on frozen features (LP-FT, Kumar 2022, arXiv:2202.10054).
        penalty: λ of that regression; None for a start at zero.
        tolerance: Largest absolute entry of the gradient at its solution; None for a start at zero.
    """

    labels: str
    draws: Count
    training: Training
    encoder: Literal["pretrained", "scratch"] = "pretrained"
    head: HeadKind = "linear"
    start: Literal["zero", "probe"] = "zero"
    penalty: Positive | None = None
    tolerance: Positive | None = None

    def __post_init__(self) -> None:
        if self.start == "probe" and (self.penalty is None or self.tolerance is None):
            raise ValueError("start=probe needs a penalty and a tolerance")

    def predict(self, task: Task) -> Predictions:
        """Return log-probabilities, one block per draw; curves are means over the draws.

        Raises:
            ValueError: The encoder has no network, a class has no image in a label set, or the loss is not finite.
        """
        predictions = Predictions(choices={"steps": None, "batch": None})
        curves = []
        for draw in range(self.draws):
            indices, targets = labelled(task, self.label_spec(task), draw)
            targets = targets.to(task.device)
            images = selected([task.train_images], indices)
            generator = task.generator(f"{self.encoder} {self.labels} {draw}")
            model = self.classifier(task, indices, targets, generator)
            extra = self.extra(task, indices, draw, generator)
            trail = predictions.trail if task.watch and draw == 0 else None
            curves.append(train(model, images, targets, self.training, task, generator, extra, trail))
            predictions.scores.append(log_probabilities(model, task.test_images, task))
            right = log_probabilities(model, images, task).argmax(dim=1) == targets.cpu()
            predictions.train_accuracy.append(float(right.double().mean()))
            predictions.choices["steps"] = self.training.steps_over(len(images))
            predictions.choices["batch"] = self.training.batch_of(len(images))
        predictions.curves.update(mean_curves(curves))
        return predictions

    def label_spec(self, task: Task) -> str:
        """Return the number of labels as ``Task.label_set`` takes it."""
        return self.labels

    def extra(self, task: Task, indices: Tensor, draw: int, generator: torch.Generator) -> Extra | None:
        """Return a loss to add to the loss of the labelled images, or None."""
        return None

    def classifier(self, task: Task, indices: Tensor, targets: Tensor, generator: torch.Generator) -> Classifier:
        """Return the classifier before the first step."""
        model = Classifier(self._network(task, generator), self.head, task.classes, generator)
        if self.encoder == "scratch":
            return model.train()
        model.eval()
        if self.head == "linear":
            standardise = Standardisation.of(rows_of(task.train_features, None, task.device, task.check_stop))
            model.mean.copy_(standardise.mean)
            model.scale.zero_()
            model.scale[standardise.kept] = (1 / standardise.deviation[standardise.kept]).float()
            if self.start == "probe":
                assert self.penalty is not None
                assert self.tolerance is not None
                features = standardise(rows_of(task.train_features, indices, task.device, task.check_stop))
                solution = probe(features, targets, task, self.penalty, self.tolerance)
                with torch.no_grad():
                    model.last.weight[:, standardise.kept] = solution.weight.T.float()
                    model.last.bias.copy_(solution.bias)
            return model
        chosen = fixed_subset(len(task.train_images), MEASURED_IMAGES)
        batch = images_at_once(256, task.train_images, task)
        with torch.no_grad():
            model.measure([model.raw(task.prepare(task.train_images[part])) for part in torch.split(chosen, batch)])
        return model

    def _network(self, task: Task, generator: torch.Generator) -> nn.Module:
        """Return a fresh network to train."""
        if task.encoder is None or task.scratch_encoder is None:
            raise ValueError(
                f"{type(self).__name__.lower()} trains the network, but this encoder has none; leave this protocol out"
            )
        if self.encoder == "scratch":
            return task.scratch_encoder(generator)
        return task.encoder().eval()
