"""Trained encoders and the features of own images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.device import exact_float32, resolve_device
from bench.errors import SslbenchError
from bench.evaluation.embed import embedding
from bench.evaluation.features import batch_size
from bench.pretrained.plain_encoder import encoder_of_file, encoder_of_run
from bench.records.record import Record
from bench.records.store import Store
from bench.views.prepare import prepare
from methods.base import Encoder


class TrainedEncoder(nn.Module):
    """An encoder that takes uint8 images of any size, and prepares them itself.

    Attributes:
        network: The encoder, which takes prepared images.
        dim: Number of features.
    """

    def __init__(self, network: Encoder) -> None:
        super().__init__()
        self.network = network
        self.dim = network.dim

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 features B×D of uint8 images B×C×H×W, resized and normalised as in the encoder's training."""
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise SslbenchError(
                f"an encoder takes uint8 images B×C×H×W, not {images.dtype} with {images.ndim} dimensions"
            )
        device = next(self.network.parameters()).device
        features: Tensor = self.network.features(prepare(images, self.network.input, device)).float()
        return features


def encoder(run: str | Record, *, results: str | Path = "results") -> TrainedEncoder:
    """Return the encoder of a recorded run, or of a file of ``sslbench export``, in eval mode on the CPU.

    Args:
        run: A record, a record's path or a unique part of it (as for ``sslbench show``), or the path of an exported file.
        results: The results folder.

    Raises:
        SslbenchError: There is no such run, or its encoder is not stored.
    """
    if isinstance(run, Record):
        store = Store(Path(results))
        return TrainedEncoder(encoder_of_run(store, str(store.record_path(run.identity)))).eval()
    if run.endswith(".safetensors") and Path(run).is_file():
        return TrainedEncoder(encoder_of_file(Path(run))).eval()
    return TrainedEncoder(encoder_of_run(Store(Path(results)), run)).eval()


def features(
    source: str | Record | TrainedEncoder,
    images: "str | Path | NDArray[np.uint8] | Tensor",
    *,
    results: str | Path = "results",
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return the features N×D of images.

    Args:
        source: What ``encoder`` takes or returns.
        images: A directory, zip or tar, whose images are taken in the order of their paths; or uint8 images N×C×H×W.
        results: The results folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        SslbenchError: The encoder or the images cannot be used.
    """
    network = (source if isinstance(source, TrainedEncoder) else encoder(source, results=results)).network
    place = torch.device(resolve_device(device))
    if isinstance(images, str | Path):
        with embedding(network, Path(images), place) as found:
            return np.concatenate([block.features for block in found.blocks])
    return np.concatenate(list(_of_array(network.to(place).eval(), images)))


def _of_array(network: Encoder, images: Any) -> Iterator[NDArray[np.float32]]:
    pixels = torch.as_tensor(images)
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or not len(pixels):
        shape = "×".join(map(str, pixels.shape))
        raise SslbenchError(f"features: images must be uint8 N×C×H×W with 1 or 3 channels, not {pixels.dtype} {shape}")
    device = next(network.parameters()).device
    with torch.no_grad(), exact_float32():
        for start in range(0, len(pixels), batch_size(network.input.size)):
            part = pixels[start : start + batch_size(network.input.size)]
            yield network.features(prepare(part, network.input, device)).float().cpu().numpy()
