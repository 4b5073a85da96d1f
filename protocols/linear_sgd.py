"""``linear-sgd``: the literature's linear probe, trained by SGD on augmented images."""

from dataclasses import dataclass

import torch

from protocols.base import EvaluationProtocol, Predictions, Task
from protocols.parts.finetune import Trail, log_probabilities, train
from protocols.parts.heads import Classifier
from protocols.parts.labelled import require_every_class
from protocols.parts.training import Training
from protocols.ranges import Count, Positive


@dataclass(frozen=True)
class LinearSgd(EvaluationProtocol):
    """A linear layer on the raw features of the frozen backbone, which is in eval mode; the last epoch is measured.

    SimCLR (arXiv:2002.05709, appendix B.6) with the constants of lightly's benchmarks.

    Attributes:
        epochs: Passes over ``train``.
        batch: Images per step.
        rate: Peak learning rate for 256 images, scaled linearly with the batch size.
    """

    epochs: Count
    batch: Count
    rate: Positive

    def predict(self, task: Task) -> Predictions:
        """Return log-probabilities after the last epoch, and curves of loss and accuracy on augmented images.

        Raises:
            ValueError: The encoder has no network, or a class has no image in ``train``.
        """
        if task.encoder is None:
            raise ValueError(
                "linear-sgd runs the network on augmented images, but this encoder has none; use linear instead"
            )
        require_every_class(task.train_labels, task.classes, "train")
        generator = task.generator("linear-sgd")
        model = Classifier(task.encoder(), "linear", task.classes, generator).eval()
        torch.nn.init.normal_(model.last.weight, std=0.01, generator=generator)
        batch = min(self.batch, len(task.train_images))
        training = Training(
            steps=0,
            passes=self.epochs,
            batch=batch,
            trunk_rate=0.0,
            head_rate=self.rate * batch / 256,
            augmentation="crop",
        )
        targets = task.train_labels.to(task.device)
        trail: Trail | None = [] if task.watch else None
        curves = train(model, task.train_images, targets, training, task, generator, trail=trail)
        right = log_probabilities(model, task.train_images, task).argmax(dim=1) == targets.cpu()
        scores = [log_probabilities(model, task.test_images, task)]
        accuracy = float(right.double().mean())
        return Predictions(scores=scores, curves=curves, train_accuracy=[accuracy], trail=trail or [])
