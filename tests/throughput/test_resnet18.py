"""SimCLR with ResNet-18 on images of 32 pixels, for a GPU: the loop, its parts, and the share of what the device can do."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from throughput.lightly_loop import lightly_loop
from throughput.measuring import measure
from throughput.stepping import step_by_step
from throughput.training import Case, bare_step, harness_loop, identity_of
from torch.utils.flop_counter import FlopCounterMode

from bench import seeds
from bench.backbones import build
from bench.data import load
from bench.data.dataset import Dataset
from bench.device import Stopwatch, cores

GROUP = "ResNet-18: SimCLR, 32 pixels"
BATCHES = (256, 1024)


@pytest.fixture(scope="module")
def images() -> Dataset:
    """Random images in the form of CIFAR-10; their content does not change the speed."""
    digits = load("digits")
    pixels = torch.randint(0, 256, (5000, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    traits = replace(
        digits.traits,
        channels=3,
        size=32,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        horizontal_flip=True,
        images=5000,
        train=5000,
    )
    labels = torch.arange(5000) % 10
    return replace(digits, traits=traits, train_images=pixels, train_labels=labels, val=torch.arange(0, 5000, 10))


@pytest.fixture(params=BATCHES)
def case(request, gpu, images):
    identity = replace(identity_of("simclr", "digits", None, "resnet18", request.param), backbone="resnet18")
    made = Case(identity, images, gpu)
    yield made
    made.close()


def _measure(benchmark, case, engine: str, work: Callable[[], object], rounds: int = 8, **facts: object) -> None:
    batch = case.job.identity.batch
    measure(
        benchmark, GROUP, f"batch {batch}", engine, work, images=batch, rounds=rounds, device=case.device,
        precision=case.job.precision, **facts,
    )  # fmt: skip


def test_views(benchmark, case):
    pixels = case.data.images[: case.job.identity.batch].to(case.device)
    generator = seeds.generator(0, "views", device=case.device)
    _measure(benchmark, case, "views alone", lambda: case.job.views(pixels, generator))


def test_bare(benchmark, case):
    step = bare_step(case)
    step()
    with FlopCounterMode(display=False) as counter:
        step()
    operations = counter.get_total_flops()
    _measure(
        benchmark, case, "bare step", step, operations=operations, floor_seconds=operations / matrix_rate(case.device)
    )


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled(benchmark, case, mode):
    case.method.backbone.compile(mode=mode)
    _measure(benchmark, case, f"bare step, torch.compile, {mode}", bare_step(case))


def test_harness(benchmark, case):
    step_by_step(harness_loop(case), lambda advance: _measure(benchmark, case, "harness", advance))


def test_lightly(benchmark, case, images):
    backbone = build("resnet18", images.traits)
    transform = type(case.method).views(case.method.settings, images.traits)
    batch = case.job.identity.batch
    loop = lightly_loop(backbone, backbone.dim, transform, images, batch, cores(), case.job.precision)
    step_by_step(loop, lambda advance: _measure(benchmark, case, "lightly", advance, rounds=2))


def matrix_rate(device: torch.device, size: int = 4096) -> float:
    """The operations per second of a product of bf16 matrices."""
    size = size if device.type == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    watch, seconds = Stopwatch(device), []
    for _ in range(10):
        watch.start()
        a @ b
        seconds.append(watch.stop())
    return 2 * size**3 / min(seconds)
