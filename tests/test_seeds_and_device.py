"""Seeds, and the rules for device, precision and number of threads."""

import numpy as np
import pytest
import torch

from bench import seeds
from bench.device import (
    all_on_device,
    choose_device,
    choose_precision,
    cores,
    cpu_has_bf16,
    runs_on_a_gpu,
    runs_side_by_side,
    threads_of_run,
)
from bench.errors import SslbenchError
from methods.parts.distillation import PatchMasks


def test_a_purpose_has_the_same_seed_on_every_machine():
    assert seeds.derive(0, "views", 7) == 6602855332108212004


def test_every_purpose_and_step_has_a_different_seed():
    names = [("views", 1), ("views", 11), ("view", "s1"), ("order", 1), ("views", 1, 1)]
    assert len({seeds.derive(seed, *name) for seed in (0, 1) for name in names}) == 10


def test_all_global_generators_are_seeded():
    drawn = []
    for _ in range(2):
        seeds.seed_everything(3, "method", 0)
        drawn.append((torch.rand(1).item(), np.random.rand()))  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_small_images_use_one_thread_and_larger_images_all_cores():
    assert (threads_of_run(8), threads_of_run(16), threads_of_run(28)) == (1, 1, cores())


def test_transformers_and_mlps_train_in_float32_on_the_cpu():
    cpu = torch.device("cpu")
    assert choose_precision(cpu, "transformer") == choose_precision(cpu, "mlp") == "32-true"
    assert choose_precision(cpu, "convolutional") == ("bf16-mixed" if cpu_has_bf16() else "32-true")
    assert choose_precision(torch.device("cuda"), "transformer") == "bf16-mixed"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0"])
def test_an_unknown_device_is_reported(name):
    with pytest.raises(SslbenchError, match="auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.parametrize(
    "name",
    [
        "cuda:99",
        pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")),
    ],
)
def test_a_device_that_does_not_exist_is_reported(name):
    with pytest.raises(SslbenchError, match="does not exist"):
        choose_device(name)


@pytest.mark.parametrize(
    ("gigabytes", "size", "cores", "expected"),
    [(80, 32, 16, 8), (80, 32, 64, 10), (80, 96, 16, 1), (80, 64, 16, 2), (6, 32, 16, 1), (80, 8, 1, 1)],
)
def test_runs_share_a_gpu_within_its_memory_and_cores(gigabytes, size, cores, expected):
    assert runs_on_a_gpu(gigabytes * 2**30, size, cores) == expected


def test_runs_of_one_thread_share_the_cores():
    assert runs_side_by_side("cpu", 8) == cores()
    assert runs_side_by_side("cpu", 28) == 1


def test_nested_tensors_reach_a_device_in_the_same_nesting():
    masks = PatchMasks.of(torch.eye(3, dtype=torch.bool)[None])
    nested = {"lists": [torch.arange(2), (torch.arange(3), None)], "masks": masks, "number": 7}
    found = all_on_device(nested, torch.device("meta"))
    assert isinstance(found["masks"], PatchMasks)
    assert [found["lists"][0].shape, found["lists"][1][0].shape, found["masks"].positions.shape] == [(2,), (3,), (3,)]
    assert found["lists"][1][1] is None and found["number"] == 7
    assert found["masks"].masks.device == found["lists"][0].device == torch.device("meta")
