"""Where the tests find real images, and how they start the program as a user does."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.campaign import DRAWS, resolve, simulate
from support.full_record import full_record
from support.starting import clean_environment, command, real_images

from bench.leaderboard.build import Current
from bench.records.record import Cost, Identity, Measurement, Record
from bench.records.store import Store
from bench.registry import methods as registry


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the throughput suite to ``--benchmark-only`` (``make throughput``): it wants the machine for itself."""
    if collection_path.name == "throughput" and not config.getoption("benchmark_only"):
        return True
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it skip where it is missing."""
    folder = real_images()
    if folder is None:
        pytest.skip("no real images: put them into ../shared/data or name their folder in SSLBENCH_TEST_DATA")
    return folder


@pytest.fixture
def sslbench(tmp_path):
    """Run the command line in a process of its own, in an empty folder; returns the finished process."""

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
    """What other tests plugged into this process is not asked for."""
    monkeypatch.setattr(registry, "_plugins", {})
    monkeypatch.setattr(registry, "_functions", {})


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A results folder with two records on digits."""
    results = tmp_path_factory.mktemp("recorded") / "results"
    for method, top1 in (("simclr", 0.9), ("byol", 0.8)):
        identity = Identity("digits", "f00d", "test", method, 1, "resnet9_slim", 1, 1, "standard", 60, 256, 0)
        protocols = {"knn": Measurement(1, {"top1": top1}, [{"top1": top1}], correct=["/w=="], images=8)}
        Store(results).write(
            Record(identity, "ok", protocols=protocols, cost=Cost(pretrain_s=1.0), curve={"step": [1], "loss": [2.0]})
        )
    return results


@pytest.fixture
def record() -> Record:
    """A record with every entry filled."""
    return full_record()


@pytest.fixture
def current() -> Current:
    """Simulated protocols as the current versions."""
    return Current(tuple(DRAWS), resolve, harness=1)


@pytest.fixture
def campaign() -> Callable[..., list[Record]]:
    """Simulates the records of methods of known ability."""
    return simulate
