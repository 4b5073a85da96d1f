"""A training step of every method in the harness's loop, compared with a bare step without the loop."""

import pytest
from support.starting import real_images
from throughput.conftest import BATCH
from throughput.measuring import measure
from throughput.stepping import step_by_step
from throughput.training import Case, bare_step, harness_loop, identity_of

from bench.registry.methods import load_method, method_names

METHODS = [name for name in method_names() if load_method(name).needs.training]
GROUP = "training step: FashionMNIST, 28 pixels, batch 256"


@pytest.fixture
def case(request, fashion, device):
    """A method with the data set's default backbone for it."""
    made = Case(identity_of(request.param, "fashion_mnist", real_images(), None, BATCH), fashion, device)
    yield made
    made.close()


@pytest.mark.parametrize("case", METHODS, indirect=True)
def test_bare(benchmark, case):
    name = case.job.identity.method
    step = bare_step(case)
    measure(benchmark, GROUP, name, "bare step", step, images=BATCH, rounds=8, device=case.device, **_facts(case))


@pytest.mark.parametrize("case", METHODS, indirect=True)
def test_harness(benchmark, case):
    name = case.job.identity.method
    step_by_step(
        harness_loop(case),
        lambda advance: measure(
            benchmark,
            GROUP,
            name,
            "harness",
            advance,
            images=BATCH,
            rounds=8,
            device=case.device,
            **_facts(case),
        ),
    )


def _facts(case):
    return {
        "backbone": case.job.identity.backbone,
        "precision": case.job.precision,
        "views": case.engine,
    }
