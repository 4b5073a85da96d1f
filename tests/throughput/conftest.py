"""What every measurement shares: the device, real images, and what the file of figures says of the machine."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from support.starting import real_images

from bench.data import load
from bench.data.dataset import Dataset
from bench.device import cores, device_name, set_threads
from bench.records.environment import commit, package_versions, processor

BATCH = 256


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Replace what the plugin finds out about this machine by what decides the figures; no names of hosts or users."""
    gpu = torch.cuda.is_available()
    machine_info.clear()
    machine_info.update(
        device=device_name(torch.device("cuda")) if gpu else f"{cores()} cores",
        processor=processor(),
        driver=_driver() if gpu else None,
        packages=package_versions(),
        load_before=round(os.getloadavg()[0], 2),
    )


def pytest_benchmark_update_commit_info(config: Any, commit_info: dict[str, Any]) -> None:
    """Say which commit was measured, and nothing else."""
    commit_info.clear()
    commit_info["id"] = commit()


def _driver() -> str | None:
    version = Path("/sys/module/nvidia/version")
    return version.read_text().strip() if version.is_file() else None


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU where there is one; all cores work."""
    set_threads(cores())
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


@pytest.fixture(scope="session")
def photographs() -> torch.Tensor:
    """uint8 256×3×96×96: random parts of scikit-learn's two photographs."""
    generator = np.random.default_rng(0)
    scenes = load_sample_images().images
    parts = []
    for number in range(BATCH):
        scene = scenes[number % len(scenes)]
        top, left = (generator.integers(0, side - 96) for side in scene.shape[:2])
        parts.append(scene[top : top + 96, left : left + 96])
    return torch.from_numpy(np.stack(parts)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    """FashionMNIST; what needs it is left out where it is missing."""
    folder = real_images()
    if folder is None:
        pytest.skip("no FashionMNIST: put it into ../shared/data or name its folder in SSLBENCH_TEST_DATA")
    return load("fashion_mnist", data_root=folder)
