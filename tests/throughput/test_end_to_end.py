"""SimCLR on FashionMNIST including data loading and views: sslbench's loop, a bare step, and lightly's loop in two precisions."""

import pytest
from support.starting import real_images
from throughput.conftest import BATCH
from throughput.lightly_loop import lightly_loop
from throughput.measuring import measure
from throughput.stepping import step_by_step
from throughput.training import Case, bare_step, harness_loop, identity_of

from bench.backbones import build
from bench.device import cores

ROUNDS, WARMUP_ROUNDS = 20, 4
STEPS = cores()
"""Steps per round: the workers of a DataLoader deliver their batches in bursts, one batch per worker."""
GROUP = "end to end: SimCLR, FashionMNIST, resnet9_slim, batch 256"


@pytest.fixture
def case(fashion, device):
    made = Case(identity_of("simclr", "fashion_mnist", real_images(), "resnet9_slim", BATCH), fashion, device)
    yield made
    made.close()


def _measure(benchmark, engine, work, case, precision):
    def some_steps():
        for _ in range(STEPS):
            work()

    measure(
        benchmark,
        GROUP,
        "simclr",
        engine,
        some_steps,
        images=STEPS * BATCH,
        rounds=ROUNDS,
        warmup=WARMUP_ROUNDS,
        device=case.device,
        precision=precision,
    )


def test_bare(benchmark, case):
    _measure(benchmark, "bare step", bare_step(case), case, case.job.precision)


def test_compiled(benchmark, case):
    case.method.backbone.compile()
    _measure(benchmark, "bare step, torch.compile", bare_step(case), case, case.job.precision)


def test_harness(benchmark, case):
    step_by_step(harness_loop(case), lambda advance: _measure(benchmark, "harness", advance, case, case.job.precision))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lightly(benchmark, case, fashion, precision):
    backbone = build("resnet9_slim", fashion.traits)
    transform = type(case.method).views(case.method.settings, fashion.traits)
    loop = lightly_loop(backbone, backbone.dim, transform, fashion, BATCH, cores(), precision)
    step_by_step(loop, lambda advance: _measure(benchmark, f"lightly, {precision}", advance, case, precision))
