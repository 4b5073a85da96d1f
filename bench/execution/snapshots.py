"""Snapshots of pretraining: features of some fixed images every so many epochs, in one file a run."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.atomic import write_whole
from bench.data.dataset import Dataset
from bench.data.splits import permutation
from bench.errors import Diverged, StorageError
from bench.evaluation.features import extract
from bench.records.checkpoints import digest
from bench.records.record import Identity
from bench.views.prepare import prepare
from methods.base import Method

IMAGES = 500
LARGEST = float(np.finfo(np.float16).max)


class Snapshots:
    """The file of one run: ``epochs`` [S], ``features`` [S, images, dim] in float16, ``labels`` [images], ``loss`` [S].

    The images are at most 500 of ``val``, always the same; no test image is among them. The encoder is looked at in eval mode, and
    every mode is restored: a training with snapshots gives the numbers of one without.

    Args:
        path: Of the file.
        every: How many epochs lie between two snapshots; the last epoch always has one.
        identity: Of the run; a file of another one is replaced.
        dataset: Where the images come from.
        device: Where the encoder is.
    """

    def __init__(self, path: Path, every: int, identity: Identity, dataset: Dataset, device: torch.device) -> None:
        self.path, self.every, self.device = path, every, device
        self.owner = digest(identity)
        chosen = dataset.val[np.sort(permutation(len(dataset.val), "snapshots")[:IMAGES])]
        self.images = dataset.train_images[chosen]
        self.labels = dataset.train_labels[chosen].numpy()
        self.taken: dict[int, tuple[Any, float]] = {}

    def begin(self, epoch: int) -> None:
        """Take up the snapshots of this run until an epoch; 0 begins anew.

        Raises:
            StorageError: The file is corrupt.
        """
        self.taken = {}
        if not epoch or not self.path.exists():
            return
        try:
            with np.load(self.path) as file:
                if str(file["identity"]) == self.owner:
                    found = zip(file["epochs"].tolist(), file["features"], file["loss"].tolist(), strict=True)
                    self.taken = {of: (features, loss) for of, features, loss in found if of <= epoch}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise StorageError(f"snapshots {self.path}: cannot be read ({error}); delete the file") from error

    def take(self, method: Method, epoch: int, loss: float) -> None:
        """Add the features after an epoch and write the file; nothing is added where a feature is not finite.

        Raises:
            StorageError: The file cannot be written.
        """
        encoder = method.encoder().to(self.device)
        modes = [(module, module.training) for module in (*method.modules(), *encoder.modules())]
        try:
            features = extract(encoder, self.images, lambda images: prepare(images, encoder.input, self.device))
        except Diverged:
            return
        finally:
            for module, mode in modes:
                module.training = mode
        self.taken[epoch] = (features.clamp(-LARGEST, LARGEST).half().cpu().numpy(), loss)
        write_whole(self.path, self._write)

    def _write(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(
                file,
                epochs=np.array(list(self.taken)),
                features=np.stack([features for features, _ in self.taken.values()]),
                labels=self.labels,
                loss=np.array([loss for _, loss in self.taken.values()]),
                identity=np.array(self.owner),
            )
