"""The training loop on fake CUDA tensors, with images in the host's memory and on the device."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from gpu_ready.fake_cuda import CUDA, fake_cuda
from support.in_process import options_of, wanted_runs
from torch import Tensor, nn

from bench import seeds
from bench.data import load
from bench.execution.encoder import build_method
from bench.planning.request import Request
from bench.planning.settings import recipe_of
from bench.records.store import Store
from bench.training import loss_history, pretrain
from bench.training.context import RunContext
from bench.training.job import PretrainingSet, TrainingJob
from bench.views import compile_views
from methods.base import Loss, Method


class FakeFabric:
    """The part of ``lightning_fabric.Fabric`` that the loop uses; it needs no GPU."""

    def __init__(self, accelerator: str, devices: list[int], precision: str) -> None:
        assert (accelerator, devices, precision) == ("cuda", [0], "bf16-mixed")

    def setup(self, method: Method, optimizer: torch.optim.Optimizer) -> tuple[Any, torch.optim.Optimizer]:
        def model(*arguments: Any) -> Loss:
            with torch.autocast("cuda", torch.bfloat16):
                return method(*arguments)

        self.parameters = list(method.parameters())
        return model, optimizer

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def clip_gradients(self, model: Any, optimizer: Any, max_norm: float, error_if_nonfinite: bool) -> Tensor:
        return nn.utils.clip_grad_norm_(self.parameters, max_norm, error_if_nonfinite=error_if_nonfinite)


@pytest.mark.parametrize(("name", "on_device"), [("simclr", False), ("ibot", True)])
def test_the_loop_waits_once_per_window_of_the_loss(name: str, on_device: bool, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loss_history, "CURVE_POINTS", 2)
    monkeypatch.setattr(pretrain, "Fabric", FakeFabric)
    monkeypatch.setattr(pretrain, "save_checkpoint", lambda *_: None)
    options = options_of(tmp_path)
    dataset = load("digits")
    identity = wanted_runs(Request((name,), budget="smoke", protocols=("knn",)), options)[0].identity
    seeds.seed_everything(0, "init")
    method = build_method(identity, dataset)
    traits = dataset.traits
    views = compile_views(
        method.views(method.settings, traits), size=8, channels=1, mean=traits.mean, std=traits.std, device=CUDA
    )
    job = TrainingJob(identity, recipe_of(type(method), method.backbone.kind, {}), views, "bf16-mixed")
    steps: list[int] = []
    context = RunContext(options, Store(tmp_path), CUDA, on_progress=lambda progress: steps.append(progress.done))
    with fake_cuda("training loop"):
        images = (
            torch.zeros(dataset.train_images.shape, dtype=torch.uint8, device=CUDA)
            if on_device
            else dataset.train_images
        )
        trained = pretrain.pretrain(method, PretrainingSet(images), replace(job), context)
    assert steps and len(trained.curve["step"]) == 2
