"""``pseudolabel-…``: fine-tuning on a few labels, then on its own confident predictions too."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from protocols.base import Images, Task
from protocols.lowshot import Lowshot
from protocols.parts.finetune import Extra, Step, augmented_batches
from protocols.parts.heads import Classifier
from protocols.parts.labels import parse_labels


@dataclass(frozen=True, kw_only=True)
class Pseudolabel(Lowshot):
    """First half of the steps as ``lowshot``; then as many unlabelled as labelled images in each step.

    An unlabelled image counts where the model gives a class of the plain image more than ``threshold``; the loss is that of its augmented view, a mean
    over all unlabelled images of the batch. Lee 2013 (Pseudo-Label, section 2.2: the rising weight), FixMatch (arXiv:2001.07685: the threshold).

    Attributes:
        unlabelled: How many images without label are used, drawn anew each draw; None for all of them: the rest of ``train`` and ``unlabelled``.
        total_labels: How many labelled images in all, in place of ``labels``.
        threshold: Least probability of a label of one's own.
        begin: Progress at which unlabelled images come in.
        ramp: Progress over which their weight rises from 0 to 1.
    """

    unlabelled: int | None
    total_labels: int | None
    threshold: float
    begin: float
    ramp: float

    def label_spec(self, task: Task) -> str:
        """Return the amount of labels a class.

        Raises:
            ValueError: The total is not the same number of images for every class.
        """
        if self.total_labels is None:
            return parse_labels(self.labels).text
        each, rest = divmod(self.total_labels, task.classes)
        if rest or not each:
            raise ValueError(
                f"pseudolabel: {self.total_labels} labelled images are not the same number for each of {task.classes} classes; "
                f"take a multiple of {task.classes}"
            )
        return str(each)

    def weight(self, progress: float) -> float:
        """Return the weight of the unlabelled loss."""
        return min(max((progress - self.begin) / self.ramp, 0.0), 1.0)

    def extra(self, task: Task, indices: Tensor, draw: int, generator: torch.Generator) -> Extra:
        """Return the loss on unlabelled images.

        Raises:
            ValueError: There are fewer of them than wanted.
        """
        pool = self.pool(task, indices, task.generator(f"unlabelled {self.labels} {draw}"))
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
                sure, guess = torch.softmax(model(task.prepare(pool[chosen.to(pool.device)])), dim=1).max(dim=1)
            each = cross_entropy(model(views), guess, reduction="none")
            return weight * (each * (sure > self.threshold)).mean()

        return loss

    def pool(self, task: Task, indices: Tensor, generator: torch.Generator) -> Images:
        """Return the images without label: what the label set leaves of ``train``, and ``unlabelled``."""
        rest = torch.ones(len(task.train_images), dtype=torch.bool)
        rest[indices.cpu()] = False
        images = task.train_images[rest.nonzero().flatten()]
        if task.unlabelled_images is not None:
            images = torch.cat([images, task.unlabelled_images])
        if len(images) == 0 or (self.unlabelled or 0) > len(images):
            raise ValueError(
                f"pseudolabel: {self.unlabelled or 'some'} images without label wanted, {len(images)} there; take fewer"
            )
        if self.unlabelled is None:
            return images
        order = torch.randperm(len(images), generator=generator, device=generator.device)
        return images[order[: self.unlabelled].to(images.device)]
