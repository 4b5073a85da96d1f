"""Checkpoints that Lightning's trainer writes: the network is found under any name of its attribute, compiled or averaged."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning
import torch
from torch import nn
from torch.utils.data import DataLoader

from bench.backbones import build
from bench.pretrained.checkpoint_file import CheckpointFile
from bench.pretrained.image_input import PretrainedSettings
from methods.base import Backbone
from methods.traits import Traits

TRAITS = Traits(3, 16, 10, (0.5,) * 3, (0.25,) * 3, True, 100, 100)


class Learner(pytorch_lightning.LightningModule):
    def __init__(self, backbone: Backbone, rate: float = 0.1, schedule: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone"])
        self.backbone = backbone
        self.head = nn.Linear(backbone.dim, 2)

    def training_step(self, batch: torch.Tensor, number: int) -> torch.Tensor:
        return self.head(self.backbone.features(batch, self.backbone.pooling)).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), 1e-3)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Backbone]:
    """A checkpoint after one step of Lightning's trainer, and the network in it."""
    torch.manual_seed(0)
    backbone = build("resnet9_slim", TRAITS)
    folder = tmp_path_factory.mktemp("lightning")
    trainer = pytorch_lightning.Trainer(
        max_steps=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    learner = Learner(backbone, schedule={"warmup": 3, "name": "cosine"})
    trainer.fit(learner, DataLoader(torch.rand(8, 3, 16, 16), batch_size=4))
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt", backbone.eval()


def renamed(path: Path, change: Any, target: Path) -> Path:
    content = torch.load(path, weights_only=True)
    content["state_dict"] = change(content["state_dict"])
    torch.save(content, target)
    return target


def compiled(state: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("backbone.", "backbone._orig_mod."): tensor for name, tensor in state.items()}


def with_average(state: dict[str, Any]) -> dict[str, Any]:
    """The moving average is what is evaluated: its weights are those that are expected, the others are doubled."""
    averaged = {f"ema_{name}": tensor for name, tensor in state.items() if name.startswith("backbone.")}
    return {name: tensor * 2 if tensor.is_floating_point() else tensor for name, tensor in state.items()} | averaged


@pytest.mark.parametrize("change", [dict, compiled, with_average])
def test_the_features_are_those_of_the_network_that_lightning_trained(
    change: Any, written: tuple[Path, Backbone], tmp_path: Path
) -> None:
    path, backbone = written
    file = path if change is dict else renamed(path, change, tmp_path / "changed.ckpt")
    built = CheckpointFile(file, "resnet9_slim").build(TRAITS, PretrainedSettings())
    images = torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        expected = backbone.features(images, backbone.pooling)
        torch.testing.assert_close(built.backbone.eval().features(images, built.pooling), expected)
    assert any("head" in line for line in built.loaded)
