"""A fine-tuning step for several label draws: networks one after another, or all as one batched network (torch.func)."""

import pytest
import torch
from throughput.measuring import measure
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from bench.backbones import build
from bench.data import load
from bench.device import cores, set_threads, threads_of_run
from methods.base import Backbone

CASES = [("resnet9_slim", 20, 10), ("resnet9_slim", 5, 128), ("vit_nano", 20, 10)]
"""Backbone, number of draws, images per step."""


class Classifier(nn.Module):
    """A backbone with a linear head."""

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.dim, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return class scores."""
        scores: torch.Tensor = self.head(self.backbone.features(images, self.backbone.pooling))
        return scores


@pytest.fixture
def _threads_of_a_run(device):
    set_threads(threads_of_run(8))
    yield
    set_threads(cores())


@pytest.mark.parametrize("engine", ["one after another", "side by side"])
@pytest.mark.parametrize(("backbone", "draws", "batch"), CASES)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.usefixtures("_threads_of_a_run")
def test_draws(benchmark, device, backbone, draws, batch, engine):
    digits = load("digits")
    networks = [
        Classifier(build(backbone, digits.traits), 10).to(device).to(memory_format=torch.channels_last).eval()
        for _ in range(draws)
    ]
    images = torch.rand(draws, batch, 1, digits.traits.size, digits.traits.size, device=device)
    labels = torch.randint(0, 10, (draws, batch), device=device)
    work = _side_by_side if engine == "side by side" else _one_after_another
    measure(
        benchmark,
        "fine-tuning: a step of every draw, digits",
        f"{backbone}, {draws} draws of {batch} images",
        engine,
        work(networks, images, labels),
        images=draws * batch,
        rounds=8,
        device=device,
    )


def _one_after_another(networks, images, labels):
    optimizers = [torch.optim.AdamW(network.parameters(), fused=True) for network in networks]

    def step():
        for network, optimizer, inputs, targets in zip(networks, optimizers, images, labels, strict=True):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(inputs), targets).backward()
            optimizer.step()

    return step


def _side_by_side(networks, images, labels):
    weights, buffers = stack_module_state(networks)
    optimizer = torch.optim.AdamW(weights.values(), fused=True)
    template = networks[0]

    def loss(weights, buffers, inputs, targets):
        return nn.functional.cross_entropy(functional_call(template, (weights, buffers), (inputs,)), targets)

    def step():
        optimizer.zero_grad(set_to_none=True)
        vmap(loss)(weights, buffers, images, labels).sum().backward()
        optimizer.step()

    return step
