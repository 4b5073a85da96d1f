"""Data sets of Hugging Face's ``datasets``, written by the library itself: Parquet files and ``save_to_disk``."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from bench.data import load
from bench.errors import SslbenchError

SIZE = 12
NAMES = ["cat", "dog"]
KINDS = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def rows(seed: int, count: int) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        file = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": None})
    return {"image": images, "label": [number % 2 for number in range(count)]}


def pixels(part: dict[str, list[Any]]) -> list[bytes]:
    return [np.asarray(Image.open(io.BytesIO(image["bytes"]))).transpose(2, 0, 1).tobytes() for image in part["image"]]


def written(
    change: Callable[[dict[str, Any]], dict[str, Any]] = dict, kinds: datasets.Features = KINDS
) -> datasets.DatasetDict:
    parts = {"train": change(rows(0, 20)), "test": change(rows(1, 8))}
    return datasets.DatasetDict({part: datasets.Dataset.from_dict(found, kinds) for part, found in parts.items()})


def to_parquet(found: datasets.DatasetDict, folder: Path) -> Path:
    for part, data in found.items():
        (folder / "data").mkdir(parents=True, exist_ok=True)
        data.to_parquet(folder / "data" / f"{part}-00000-of-00001.parquet")
    return folder


def to_disk(found: datasets.DatasetDict, folder: Path) -> Path:
    found.save_to_disk(folder)
    return folder


@pytest.mark.parametrize("write", [to_parquet, to_disk])
def test_images_labels_and_parts_are_those_that_were_written(tmp_path: Path, write: Callable[..., Path]) -> None:
    dataset = load(f"hf:{write(written(), tmp_path / 'pets')}", image_size=SIZE)
    assert dataset.class_names == ("cat", "dog")
    assert [image.numpy().tobytes() for image in dataset.train_images] == pixels(rows(0, 20))
    assert [image.numpy().tobytes() for image in dataset.test_images] == pixels(rows(1, 8))
    assert dataset.train_labels.tolist() == [number % 2 for number in range(20)]


def test_a_chosen_split_is_divided(tmp_path: Path) -> None:
    dataset = load(f"hf:{to_parquet(written(), tmp_path / 'pets')}@train", image_size=SIZE)
    assert (len(dataset.train_images), len(dataset.test_images)) == (16, 4)
    assert dataset.name.startswith("hf-pets-train-")


def test_hidden_test_labels_do_not_become_a_class(tmp_path: Path) -> None:
    found = written()
    found["test"] = datasets.Dataset.from_dict(rows(1, 8) | {"label": [-1] * 8}, KINDS)
    dataset = load(f"hf:{to_disk(found, tmp_path / 'pets')}", image_size=SIZE)
    assert dataset.left_out == {"images of test, because they have no labels": 8}
    assert len(dataset.test_images) == 4


def test_a_changed_set_is_read_anew(tmp_path: Path) -> None:
    first = load(f"hf:{to_parquet(written(), tmp_path / 'pets')}", image_size=SIZE)
    changed = datasets.DatasetDict({part: data.select(range(len(data) - 2)) for part, data in written().items()})
    second = load(f"hf:{to_parquet(changed, tmp_path / 'pets')}", image_size=SIZE)
    assert (len(first.train_images), len(second.train_images)) == (20, 18)


def several(found: dict[str, Any]) -> dict[str, Any]:
    return found | {"label": [[0, 1]] * len(found["label"])}


def two(found: dict[str, Any]) -> dict[str, Any]:
    return found | {"colour": found["label"]}


@pytest.mark.parametrize(
    ("change", "kinds", "message"),
    [
        (several, {"label": datasets.Sequence(datasets.ClassLabel(names=NAMES))}, "several labels per image"),
        (two, {"colour": datasets.ClassLabel(names=NAMES)}, r"several columns of labels \(label, colour\)"),
        (lambda found: found | {"label": [0.5] * len(found["label"])}, {"label": datasets.Value("float32")}, "float32"),
        (
            lambda found: found | {"image": ["text"] * len(found["image"])},
            {"image": datasets.Value("string")},
            "no column of images",
        ),
        (lambda found: found | {"label": [-1] * len(found["label"])}, {}, "no label in train"),
        (
            lambda found: found | {"image": [{"bytes": b"no image", "path": None}] * len(found["image"])},
            {},
            "corrupt image",
        ),
        (lambda found: {column: [] for column in found}, {}, "has no images|cannot be loaded"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused(tmp_path: Path, change: Any, kinds: dict[str, Any], message: str) -> None:
    found = written(change, datasets.Features({**KINDS, **kinds}))
    with pytest.raises(SslbenchError, match=message) as error:
        load(f"hf:{to_disk(found, tmp_path / 'pets')}", image_size=SIZE)
    assert "\n" not in str(error.value)


def test_a_column_can_be_chosen(tmp_path: Path) -> None:
    found = written(two, datasets.Features({**KINDS, "colour": datasets.ClassLabel(names=["red", "blue"])}))
    dataset = load(f"hf:{to_disk(found, tmp_path / 'pets')}?label=colour", image_size=SIZE)
    assert dataset.class_names == ("blue", "red")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:someone/pets", "cannot be loaded"),
        ("hf:../none/x", "neither a folder here nor a name on the hub"),
        ("hf:someone/pets@", "no split follows"),
        ("hf:someone/pets?columns=a", "write hf:NAME"),
    ],
)
def test_a_wrong_name_is_one_clear_line(name: str, message: str) -> None:
    with pytest.raises(SslbenchError, match=message) as error:
        load(name, image_size=SIZE)
    assert "\n" not in str(error.value)
