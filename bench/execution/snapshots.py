"""Snapshots of pretraining: features of a fixed set of images every few epochs, in one file per run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.atomic import write_whole
from bench.data.dataset import Dataset
from bench.data.splits import permutation
from bench.errors import Diverged
from bench.evaluation.features import extract
from bench.records.digest import digest
from bench.records.record import Identity
from bench.records.stored_files import open_regular, set_aside
from bench.views.prepare import prepare
from methods.base import Method

IMAGES = 500
"""Largest number of images."""
LARGEST = float(np.finfo(np.float16).max)
"""Largest absolute value of a feature; larger ones are clamped."""


class SnapshotFile:
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
        self.path, self.every, self.device, self.on_message = path, every, device, on_message
        self.owner = digest(identity)
        chosen = dataset.val[np.sort(permutation(len(dataset.val), "snapshots")[:IMAGES])]
        self.images = dataset.train_images[chosen]
        self.labels = dataset.train_labels[chosen].numpy()
        self.taken: dict[int, tuple[Any, float]] = {}

    def begin(self, epoch: int) -> None:
        """Keep the snapshots of this run up to an epoch; 0 keeps none. A damaged file is reported and renamed."""
        self.taken = {}
        if not epoch:
            return
        try:
            with open_regular(self.path) as opened, np.load(opened) as file:
                if str(file["identity"]) == self.owner:
                    found = zip(file["epochs"].tolist(), file["features"], file["loss"].tolist(), strict=True)
                    self.taken = {number: (features, loss) for number, features, loss in found if number <= epoch}
        except FileNotFoundError:
            return
        except Exception as error:  # a damaged archive raises errors of many types
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            kept = set_aside(self.path, "damaged")
            self.on_message(
                f"snapshots {self.path} cannot be read ({line}): renamed to {kept}; earlier epochs are missing"
            )

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
        self.taken[epoch] = (features.clamp(-LARGEST, LARGEST).half().cpu().numpy(), loss)
        write_whole(self.path, self._write)
        return {}

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
