"""What a run gets on a Ray cluster, by the nodes, and the options that make no sense."""

import pytest
from support.in_process import options_of

from bench.cli.options import with_engine
from bench.errors import SslbenchError
from bench.execution import ray_engine
from bench.execution.ray_cluster import connect
from bench.execution.ray_engine import RayEngine
from bench.execution.ray_resources import Node, Resources, resources_of_run, room

LARGE = 32


def test_on_gpus_each_run_gets_its_share_of_the_cpus_of_the_node_that_has_least_per_gpu():
    nodes = [Node(cpus=4, gpus=0), Node(cpus=64, gpus=8), Node(cpus=96, gpus=8)]
    assert resources_of_run(nodes, "auto", None, LARGE) == Resources(gpus=1, cpus=8, threads=8)
    quarter = resources_of_run(nodes, "cuda", 0.25, LARGE)
    assert quarter == Resources(gpus=0.25, cpus=2, threads=2)
    assert room(nodes, quarter) == 64


def test_small_images_have_one_thread_on_every_node():
    assert resources_of_run([Node(16, 2)], "auto", None, 8).threads == 1
    assert resources_of_run([Node(16, 0)], "auto", None, 8) == Resources(gpus=0, cpus=1, threads=1)


def test_with_more_gpus_than_cpus_runs_share_a_cpu_so_that_all_gpus_are_used():
    nodes = [Node(cpus=1, gpus=2), Node(cpus=1, gpus=2)]
    each = resources_of_run(nodes, "auto", None, 8)
    assert each == Resources(gpus=1, cpus=0.5, threads=1)
    assert room(nodes, each) == 4
    third = resources_of_run([Node(cpus=1, gpus=3)], "auto", None, 8)
    assert room([Node(cpus=1, gpus=3)], third) == 3


def test_on_the_cpu_all_runs_have_as_many_threads_as_the_smallest_node_has_cores():
    nodes = [Node(cpus=0, gpus=0), Node(cpus=8, gpus=1), Node(cpus=4, gpus=0)]
    each = resources_of_run(nodes, "cpu", None, LARGE)
    assert each == Resources(gpus=0, cpus=4, threads=4)
    assert room(nodes, each) == 3


@pytest.mark.parametrize("number", [0, -1, 1.5, float("nan"), float("inf"), 1e-9])
def test_a_number_of_gpus_that_makes_no_sense_is_an_error(number):
    with pytest.raises(SslbenchError, match="--devices-per-run"):
        resources_of_run([Node(8, 8)], "auto", number, LARGE)


def test_a_cluster_that_cannot_carry_out_the_runs_is_an_error_that_says_why():
    with pytest.raises(SslbenchError, match="no node of the Ray cluster has 1 GPU"):
        resources_of_run([Node(8, 0)], "cuda", None, LARGE)
    with pytest.raises(SslbenchError, match="is a number of GPUs, but these runs use the CPU"):
        resources_of_run([Node(8, 0)], "auto", 0.25, LARGE)
    with pytest.raises(SslbenchError, match="no node of the Ray cluster has a CPU"):
        resources_of_run([Node(0, 0)], "cpu", None, LARGE)


def test_ray_chooses_the_gpu_so_that_a_numbered_one_is_refused(tmp_path):
    with pytest.raises(SslbenchError, match="Ray chooses the GPU"):
        RayEngine(options_of(tmp_path, engine="ray", device="cuda:1")).check()
    with pytest.raises(SslbenchError, match="--jobs many"):
        RayEngine(options_of(tmp_path, engine="ray", jobs="many")).check()
    RayEngine(options_of(tmp_path, engine="ray", jobs="5000")).check()
    with pytest.raises(SslbenchError, match="--devices 2: with --engine ray, give --devices-per-run 2"):
        RayEngine(options_of(tmp_path, engine="ray", devices=2)).check()


def test_two_gpus_train_each_run_together(tmp_path, monkeypatch):
    found = [Node(cpus=64, gpus=8), Node(cpus=4, gpus=1)]
    assert resources_of_run(found, "auto", 2, LARGE) == Resources(gpus=2, cpus=16, threads=16)
    monkeypatch.setattr(ray_engine, "nodes", lambda address: found)
    each = RayEngine(options_of(tmp_path, engine="ray", devices_per_run=2.0, device="cuda")).sized(LARGE)
    assert (each.options.devices, each.options.device, each.jobs(100)) == (2, "cuda", 4)
    quarter = RayEngine(options_of(tmp_path, engine="ray", devices_per_run=0.25, device="cuda")).sized(LARGE)
    assert (quarter.options.devices, quarter.jobs(100)) == (1, 36)


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SslbenchError, match=r"pip install 'sslbench\[ray\]'"):
        RayEngine(options_of(tmp_path, engine="ray")).check()


def test_an_option_of_ray_without_ray_is_refused(tmp_path):
    options = options_of(tmp_path)
    for given in ({"address": "auto"}, {"devices_per_run": 0.5}):
        with pytest.raises(SslbenchError, match="add --engine ray, or remove it"):
            with_engine(options, "local", **{"address": None, "devices_per_run": None, **given})
    assert with_engine(options, "local", None, None) == options


def test_an_address_that_is_none_is_one_line():
    with pytest.raises(SslbenchError, match="cannot connect to Ray at nowhere"):
        connect("nowhere")
