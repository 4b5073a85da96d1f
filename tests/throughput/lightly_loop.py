"""SimCLR trained as in lightly's example scripts: a LightningModule, and a DataLoader whose workers transform PIL images one by one.

Source: ``examples/pytorch_lightning/simclr.py`` of lightly 1.6. Backbone, projection head, batch size and pipeline are those of sslbench's
``simclr``, so that only the loop differs.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from throughput.pipelines import PilImages
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from bench.data.dataset import Dataset

for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.rank_zero"):
    logging.getLogger(name).setLevel(logging.WARNING)


class SimCLR(pl.LightningModule):
    """The example's module with a backbone of sslbench."""

    def __init__(self, backbone: nn.Module, dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection_head = SimCLRProjectionHead(dim, 4 * dim, 256, batch_norm=False)
        self.criterion = NTXentLoss()

    def forward(self, images: Tensor) -> Tensor:
        projected: Tensor = self.projection_head(self.backbone(images).flatten(start_dim=1))
        return projected

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        first, second = self(batch[0]), self(batch[1])
        loss: Tensor = self.criterion(first, second)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.06)


class Normalised:
    """A pipeline followed by normalisation."""

    def __init__(self, transform: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.transform, self.normalise = transform, v2.Normalize(mean, std)

    def __call__(self, image: Any) -> list[Tensor]:
        return [self.normalise(view) for view in self.transform(image)]


class _AfterStep(pl.Callback):
    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def on_train_batch_end(self, *_: Any) -> None:
        self.call()


def trainer(precision: str, **options: Any) -> pl.Trainer:
    """Return a Trainer without loggers, checkpoints and progress bars."""
    gpu = torch.cuda.is_available()
    return pl.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=1,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def lightly_loop(
    backbone: nn.Module, dim: int, transform: Any, dataset: Dataset, batch: int, workers: int, precision: str
) -> Callable[[Callable[[], None]], object]:
    """Return the training loop of the script; it takes a function to call after every step."""
    traits = dataset.traits
    data = PilImages(dataset.train_images, Normalised(transform, traits.mean, traits.std))
    loader = DataLoader(data, batch_size=batch, shuffle=True, drop_last=True, num_workers=workers)

    def loop(after_step: Callable[[], None]) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return trainer(precision, max_epochs=1, callbacks=[_AfterStep(after_step)]).fit(
                SimCLR(backbone, dim), loader
            )

    return loop
