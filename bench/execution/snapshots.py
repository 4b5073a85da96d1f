"""Snapshots of pretraining: features of a fixed set of images every few epochs, in one file per run."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from bench.data.dataset import Dataset
from bench.data.splits import permutation
from bench.errors import Diverged
from bench.evaluation.features import extract
from bench.execution.epoch_file import EpochFile
from bench.records.record import Identity
from bench.views.prepare import prepare
from methods.base import Method

IMAGES = 500
"""Largest number of images."""
LARGEST = float(np.finfo(np.float16).max)
"""Largest absolute value of a feature; larger ones are clamped."""


class SnapshotFile(EpochFile):
    """The snapshots of one run: ``epochs`` [S], ``features`` [S, images, dim] in float16, ``labels`` [images], ``loss`` [S].

    The images are at most 500 images of ``val``, the same for every run; test images are never used. Features are taken in eval mode, and every
    module's mode is restored: a run with snapshots has the same results as a run without them.

    Args:
        path: Path of the file.
        every: Epochs between two snapshots; the last epoch always has one.
        identity: The run's identity; a file of another run is replaced.
        dataset: The run's data set.
        device: The device of the encoder.
        on_message: Receives the message that a damaged file was renamed.
    """

    def __init__(
        self,
        path: Path,
        every: int,
        identity: Identity,
        dataset: Dataset,
        device: torch.device,
        on_message: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(path, "snapshots", ("features", "loss"), identity, on_message)
        self.every, self.device = every, device
        chosen = dataset.val[np.sort(permutation(len(dataset.val), "snapshots")[:IMAGES])]
        self.images = dataset.train_images[chosen]
        self.labels = dataset.train_labels[chosen].numpy()
        self.constant["labels"] = self.labels

    def take(self, method: Method, epoch: int, loss: float) -> Mapping[str, float]:
        """Add the features after an epoch and write the file; nothing is added if a feature is not finite. Return no figures.

        Raises:
            StorageError: The file cannot be written.
        """
        encoder = method.encoder().to(self.device)
        modes = [(module, module.training) for module in (*method.modules(), *encoder.modules())]
        try:
            features = extract(encoder, self.images, lambda images: prepare(images, encoder.input, self.device))
        except Diverged:
            return {}
        finally:
            for module, mode in modes:
                module.training = mode
        self.add(epoch, {"features": features.clamp(-LARGEST, LARGEST).half().cpu().numpy(), "loss": loss})
        return {}
