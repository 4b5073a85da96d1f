"""The encoder of a training in progress, as it would be measured now."""

from collections.abc import Callable
from pathlib import Path

import torch

from bench.data.dataset import Dataset
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.features import calibrate_batch_norm, fresh_copy
from bench.records.record import Identity
from bench.views.prepare import prepare
from methods.base import Method
from protocols.base import Images


def evaluation_now(
    method: Method,
    identity: Identity,
    dataset: Dataset,
    device: torch.device,
    folder: Path,
    check_stop: Callable[[], None],
) -> Evaluation:
    """Return the evaluation of a copy of the method's encoder on a data set; the training's own encoder is not touched.

    Args:
        method: The method in training.
        identity: The run's identity.
        dataset: What the encoder is measured on.
        device: The device of the encoder.
        folder: Folder for features that are too many for memory.
        check_stop: Raises ``Stopped`` if the user asked to stop.
    """
    encoder = fresh_copy(method.encoder().to(device))

    def prepared(images: Images) -> torch.Tensor:
        check_stop()
        return prepare(images, encoder.input, device)

    if encoder.lacks_statistics:
        calibrate_batch_norm(encoder, dataset.train_images, prepared)
    return Evaluation(encoder, dataset, identity.backbone, identity.seed, check_stop=check_stop, folder=folder)
