"""Where the tests find real images, and how they start the program as a user does."""

import subprocess
from pathlib import Path

import pytest
from starting import clean_environment, command, real_images


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
