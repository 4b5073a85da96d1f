"""Fixtures that several test folders share: real images, the command line, and example records."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.campaign import DRAWS, resolve, simulate
from support.full_record import full_record
from support.starting import clean_environment, command, real_images

from bench.leaderboard.build import CurrentVersions
from bench.records.record import Cost, Identity, Measurement, Record
from bench.records.store import Store
from bench.registry import methods as registry


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect the throughput suite only with ``--benchmark-only`` (``make throughput``); it needs an otherwise idle machine."""
    if collection_path.name == "throughput" and not config.getoption("benchmark_only"):
        return True
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it are skipped if it is missing."""
    folder = real_images()
    if folder is None:
        pytest.skip("real images are missing: put them into ../shared/data or set SSLBENCH_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def accelerator() -> str:
    """The GPU, or the device in SSLBENCH_TEST_DEVICE: ``cpu`` tries the tests for a GPU without one. Skips if there is neither."""
    named = os.environ.get("SSLBENCH_TEST_DEVICE")
    if named is None and not torch.cuda.is_available():
        pytest.skip("no GPU; SSLBENCH_TEST_DEVICE=cpu tries these tests on the CPU")
    return named or "cuda"


@pytest.fixture
def sslbench(tmp_path):
    """Run sslbench in a separate process in an empty folder; returns the completed process."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env=clean_environment(**environment),
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run


@pytest.fixture
def only_the_catalogue(monkeypatch):
    """Only the methods of the catalogue, without plugins that other tests loaded into this process."""
    monkeypatch.setattr(registry, "_modules", {})
    monkeypatch.setattr(registry, "_encoders", {})


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A results folder with two records on digits."""
    results = tmp_path_factory.mktemp("recorded") / "results"
    for method, top1, correct in (("simclr", 0.9, "/4A="), ("byol", 0.8, "/wA=")):
        identity = Identity("digits", "f00d", "test", method, 1, "resnet9_slim", 1, 1, "standard", 60, 256, 0)
        protocols = {"knn": Measurement(1, {"top1": top1}, [{"top1": top1}], correct=[correct], images=10)}
        Store(results).write(
            Record(identity, "ok", protocols=protocols, cost=Cost(pretrain_s=1.0), curve={"step": [1], "loss": [2.0]})
        )
    return results


@pytest.fixture
def record() -> Record:
    """A record in which every field has a value."""
    return full_record()


@pytest.fixture
def current() -> CurrentVersions:
    """Current versions that match the simulated records."""
    return CurrentVersions(tuple(DRAWS), resolve, harness=1)


@pytest.fixture
def campaign() -> Callable[..., list[Record]]:
    """A function that simulates the records of methods with known accuracies."""
    return simulate


@pytest.fixture
def no_plugins_remain():
    """Unload the plugins that a test loaded."""
    from bench.registry import plugin_import, plugins

    path, finders = list(sys.path), list(plugin_import._helpers.folders)
    yield
    for key in list(plugins._loaded):
        plugins._remove(key)
    sys.path[:] = path
    plugin_import._helpers.folders[:] = finders
