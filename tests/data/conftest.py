"""Fixtures for the tests of data sets: real images, a temporary cache, and a folder of small real pictures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from bench.data.raw import Pixels


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("SSLBENCH_DATA", raising=False)
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")


@pytest.fixture
def digits() -> Pixels:
    """The first images of scikit-learn's 8×8 digits show 0, 1, 2, … 9, 0, 1, …."""
    return np.rint(load_digits().images * (255 / 16)).astype(np.uint8)


@pytest.fixture
def digit_folder(tmp_path: Path, digits: Pixels) -> Callable[..., Path]:
    """Writes PNGs of digits: (parts, images per class, classes) -> folder; the first part gets the first images."""

    def write(parts: tuple[str, ...] = ("",), images: int = 5, classes: int = 2, name: str = "pictures") -> Path:
        root = tmp_path / name
        for number, part in enumerate(parts):
            for label in range(classes):
                (root / part / f"class-{label}").mkdir(parents=True)
                for index in range(images):
                    picture = Image.fromarray(digits[label + 10 * (index + number * images)])
                    picture.save(root / part / f"class-{label}" / f"{index}.png")
        return root

    return write
