"""Runs on a Ray cluster of pretended nodes end with the records of this machine, whatever the cluster loses."""

import io
import os
import signal
import subprocess
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from support.in_process import options_of
from support.recorded_numbers import everything_in
from support.starting import ROOT, clean_environment, command

from bench.execution.ray_cluster import connect, load_ray
from bench.execution.session import Performed, perform
from bench.planning.request import Request
from bench.records.store import Store

pytestmark = pytest.mark.slow

NODE = {"num_cpus": 1, "num_gpus": 2, "object_store_memory": 80 * 2**20}
METHODS = ("byol", "autoencoder", "random_init", "pixels")
TIMEOUT_S = 600
RAISING = """
from typing import ClassVar
from methods.simclr import SimCLR

class Raising(SimCLR):
    title: ClassVar[str] = "Raising"

    def forward(self, batch, progress):
        raise ValueError("a bad line")
"""
DYING = """
import os, signal
from pathlib import Path
from typing import ClassVar
from methods.simclr import SimCLR

class Dying(SimCLR):
    title: ClassVar[str] = "Dying"

    def forward(self, batch, progress):
        # The parent is the process from which runs are forked; its parent is that of the Ray task.
        task = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(task, signal.SIGKILL)
        return super().forward(batch, progress)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A cluster with one pretended node, to which this process is connected."""
    load_ray()
    from ray.cluster_utils import Cluster

    # A short path: the names of sockets are limited to about a hundred characters.
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        try:
            connect(cluster.address)
            yield cluster
        finally:
            load_ray().shutdown()
            cluster.shutdown()


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """The results folder of eight runs on this machine."""
    results = tmp_path_factory.mktemp("here")
    performed, output = carry_out(results, engine="local")
    assert performed.failed == [], output
    return results


def carry_out(
    results: Path, methods=METHODS, seeds: int = 2, budget: str = "2ep", **options: object
) -> tuple[Performed, str]:
    """Carry out the runs in this process, with a checkpoint after every step; return also what was printed."""
    console = Console(file=io.StringIO(), width=160)
    request = Request(methods=methods, budget=budget, protocols=["knn"], seeds=range(seeds))
    performed = perform(request, options_of(results, checkpoint_seconds=0, **options), console)
    assert isinstance(console.file, io.StringIO)
    return performed, console.file.getvalue()


def when(condition: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Act in a thread as soon as the condition holds."""

    def watch() -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def checkpoints(results: Path) -> list[Path]:
    """The checkpoints of runs that have not ended."""
    return [path for path in results.glob("checkpoints/**/seed-?.pt") if path.is_file()]


def tasks_below(process: int) -> list[int]:
    """The processes below a process that carry out a Ray task of sslbench."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found = [child for child, parent in parents.items() if parent == process]
    below = [child for child in found if is_task(child)]
    return below + [task for child in found for task in tasks_below(child)]


def is_task(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::supervise")
    except OSError:
        return False


def raylet(node) -> int:
    """The process of a node that starts its tasks."""
    (info,) = node.all_processes["raylet"]
    return info.process.pid


def log_of(results: Path, method: str, seed: int = 0) -> str:
    (path,) = (
        path for path in results.glob(f"logs/**/seed-{seed}.log") if path.parent.name.partition("@")[0] == method
    )
    return path.read_text()


def test_eight_runs_on_two_nodes_one_of_which_is_lost_have_the_records_of_this_machine(cluster, here, capsys, tmp_path):
    node = cluster.add_node(**NODE)
    loss = when(
        lambda: checkpoints(tmp_path) and tasks_below(raylet(node)),
        lambda: cluster.remove_node(node, allow_graceful=False),
    )
    performed, output = carry_out(tmp_path, engine="ray", address=cluster.address)
    loss.join()
    assert performed.failed == [], output
    assert "2 nodes with 2 CPUs and 4 GPUs; 1 CPU for each run" in output
    assert "it continues on any free node" in output
    assert capsys.readouterr().out == "", "Ray prints between the lines of the table"
    assert len(everything_in(tmp_path)) == 8
    assert everything_in(tmp_path) == everything_in(here)


def test_a_run_whose_process_is_killed_continues_from_its_checkpoint(cluster, here, tmp_path):
    def kill() -> None:
        for task in tasks_below(raylet(cluster.head_node)):
            os.kill(task, signal.SIGKILL)

    killed = when(lambda: checkpoints(tmp_path), kill)
    performed, output = carry_out(tmp_path, ["byol"], 1, engine="ray", address=cluster.address)
    killed.join()
    assert performed.failed == [], output
    assert "its process ended" in output
    assert "resumed after step" in log_of(tmp_path, "byol")
    ((path, record),) = everything_in(tmp_path).items()
    assert record == everything_in(here)[path]


def test_ctrl_c_keeps_a_checkpoint_from_which_the_same_command_continues(cluster, here, tmp_path):
    when(lambda: checkpoints(tmp_path), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path, ["byol"], 1, engine="ray", address=cluster.address)
    assert [record.status for record in Store(tmp_path).read_all()[0]] == ["interrupted"]
    assert checkpoints(tmp_path)
    carry_out(tmp_path, ["byol"], 1, engine="ray", address=cluster.address)
    assert "resumed after step" in log_of(tmp_path, "byol")
    ((path, record),) = everything_in(tmp_path).items()
    assert record == everything_in(here)[path]


def test_a_killed_command_leaves_no_process_and_the_same_command_continues(cluster, here, tmp_path):
    arguments = ("byol", "--budget", "2ep", "--protocol", "knn", "--device", "cpu")
    process = subprocess.Popen(
        command("run", *arguments, "--results", str(tmp_path), "--engine", "ray", "--address", cluster.address),
        env=clean_environment(SSLBENCH_CHECKPOINT_SECONDS="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    when(lambda: checkpoints(tmp_path) or process.poll() is not None, process.kill).join()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    when(lambda: not tasks_below(raylet(cluster.head_node)), lambda: None).join()
    performed, output = carry_out(tmp_path, ["byol"], 1, engine="ray", address=cluster.address)
    assert performed.failed == [], output
    assert "resumed after step" in log_of(tmp_path, "byol")
    ((path, record),) = everything_in(tmp_path).items()
    assert record == everything_in(here)[path]


def test_a_run_that_raises_is_not_repeated_and_one_that_always_dies_is_given_up(cluster, no_plugins_remain, tmp_path):
    plugins = []
    for name, source in (("raising", RAISING), ("dying", DYING)):
        plugins.append(str(tmp_path / f"{name}.py"))
        Path(plugins[-1]).write_text(textwrap.dedent(source))
    results = tmp_path / "results"
    performed, output = carry_out(
        results,
        ["raising", "dying", "pixels"],
        1,
        engine="ray",
        address=cluster.address,
        plugins=plugins,
        device="auto",
        devices_per_run=0.5,
    )
    assert sorted(run.method.partition("@")[0] for run in performed.failed) == ["dying", "raising"], output
    records = {record.identity.method: record for record in Store(results).read_all()[0]}
    assert records["pixels"].status == "ok"
    assert records["raising"].status == records["dying"].status == "failed"
    assert records["raising"].cause.startswith("ValueError: a bad line (raising.py")
    assert records["dying"].cause.startswith("the run was lost 3 times without a newer checkpoint")
    assert log_of(results, "raising").count(" start (") == 1
    assert log_of(results, "dying").count(" start (") == 3
    assert "0.5 GPUs and 0.25 CPUs for each run" in output
    assert "torch cannot use the GPU that Ray reserved; the run uses the CPU" in output
