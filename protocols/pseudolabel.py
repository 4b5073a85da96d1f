"""``pseudolabel-…``: fine-tuning on a few labels, then also on the model's own confident predictions."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from protocols.base import StoredImages, Task
from protocols.lowshot import Lowshot
from protocols.parts.finetune import Extra, Step, augmented_batches
from protocols.parts.heads import Classifier
from protocols.parts.labels import parse_labels
from protocols.ranges import Count, Fraction, Positive
from protocols.selection import images_on_device, selected


@dataclass(frozen=True, kw_only=True)
class Pseudolabel(Lowshot):
    """The first half of the steps is that of ``lowshot``; then each step also takes as many unlabelled as labelled images.

    The pseudo-label of an unlabelled image is the class that the model predicts for the image without augmentation, if its probability is
    above ``threshold``; the loss is the cross-entropy of the augmented view, averaged over all unlabelled images of the batch. Lee 2013
    (Pseudo-Label, section 2.2: the rising weight), FixMatch (arXiv:2001.07685: the threshold).

    Attributes:
        unlabelled: Number of unlabelled images, drawn again for each draw; None for all: the rest of ``train`` and ``unlabelled``.
        total_labels: Total number of labelled images, used instead of ``labels``; or None.
        threshold: A prediction with a larger probability becomes a pseudo-label.
        begin: Progress (0 to 1) from which unlabelled images are used.
        ramp: Progress over which their weight rises from 0 to 1.
    """

    unlabelled: Count | None
    total_labels: Count | None
    threshold: Fraction
    begin: Fraction
    ramp: Positive

    def label_spec(self, task: Task) -> str:
        """Return the number of labels per class, or the percentage, as ``Task.label_set`` takes it.

        Raises:
            ValueError: The total cannot be divided equally among the classes.
        """
        if self.total_labels is None:
            return parse_labels(self.labels).text
        each, rest = divmod(self.total_labels, task.classes)
        if rest or not each:
            raise ValueError(
                f"pseudolabel: {self.total_labels} labelled images cannot be divided equally among {task.classes} classes; "
                f"use a multiple of {task.classes}"
            )
        return str(each)

    def weight(self, progress: float) -> float:
        """Return the weight of the loss on unlabelled images."""
        return min(max((progress - self.begin) / self.ramp, 0.0), 1.0)

    def extra(self, task: Task, indices: Tensor, draw: int, generator: torch.Generator) -> Extra:
        """Return the weighted loss on unlabelled images.

        Raises:
            ValueError: There are fewer unlabelled images than requested.
        """
        # On the device once if there is room: the batches are drawn there.
        pool = self.pool(task, indices, task.generator(f"unlabelled {self.labels} {draw}"))
        pool = images_on_device(pool, task.device, task.room)
        steps = self.training.steps_over(len(indices))
        batch = min(self.training.batch_of(len(indices)), len(pool))
        own = task.generator(f"pseudolabel {self.labels} {draw}")
        batches = augmented_batches(pool, steps, batch, self.training.augmentation, task, own)

        def loss(model: Classifier, step: Step) -> Tensor | None:
            weight = self.weight(step.progress)
            if weight == 0:
                return None
            views, chosen = next(batches)
            with torch.no_grad():
                confidence, guess = torch.softmax(model(task.prepare(pool[chosen.to(pool.device)])), dim=1).max(dim=1)
            losses = cross_entropy(model(views), guess, reduction="none")
            return weight * (losses * (confidence > self.threshold)).mean()

        return loss

    def pool(self, task: Task, indices: Tensor, generator: torch.Generator) -> StoredImages:
        """Return the unlabelled images: those of ``train`` outside the label set, and ``unlabelled``."""
        rest = torch.ones(len(task.train_images), dtype=torch.bool)
        rest[indices.cpu()] = False
        positions = rest.nonzero().flatten()
        parts: list[StoredImages] = [task.train_images]
        if task.unlabelled_images is not None:
            parts.append(task.unlabelled_images)
            positions = torch.cat([positions, len(rest) + torch.arange(len(task.unlabelled_images))])
        count = len(positions)
        if count == 0 or (self.unlabelled or 0) > count:
            raise ValueError(
                f"pseudolabel: {self.unlabelled or 'some'} unlabelled images requested, {count} available; use fewer"
            )
        if self.unlabelled is not None:
            order = torch.randperm(count, generator=generator, device=generator.device)
            positions = positions[order[: self.unlabelled].to(positions.device)]
        return selected(parts, positions)
