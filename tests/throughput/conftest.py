"""Fixtures of the throughput suite: device, real images, and the facts about the machine that are stored with the numbers."""

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
    """Replace the plugin's machine facts by those that affect speed; store no host or user names."""
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
    """Store only the id of the measured commit."""
    commit_info.clear()
    commit_info["id"] = commit()


def _driver() -> str | None:
    version = Path("/sys/module/nvidia/version")
    return version.read_text().strip() if version.is_file() else None


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU, or the CPU if there is none; torch uses all cores."""
    set_threads(cores())
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """The GPU; SSLBENCH_TEST_DEVICE=cpu tries its measurements without one."""
    if device.type == "cpu" and os.environ.get("SSLBENCH_TEST_DEVICE") != "cpu":
        pytest.skip("no GPU; SSLBENCH_TEST_DEVICE=cpu tries this on the CPU")
    return device


@pytest.fixture(scope="session")
def photographs() -> torch.Tensor:
    """uint8 256×3×96×96: random crops of scikit-learn's two photographs."""
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
    """FashionMNIST; tests that need it are skipped if it is missing."""
    folder = real_images()
    if folder is None:
        pytest.skip("FashionMNIST is missing: put it into ../shared/data or set SSLBENCH_TEST_DATA to its folder")
    return load("fashion_mnist", data_root=folder)
