"""Own images in every form that is read: written by the library made for the form, loaded, and compared image by image."""

import csv
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
import webdataset
from PIL import Image
from torch import Tensor

from bench.data import load
from bench.data.dataset import Dataset
from bench.errors import SslbenchError

SIZE = 16
CLASSES = ("cat", "dog")
COUNTS = {"train": 10, "test": 4}

Truth = dict[bytes, tuple[str, str]]
"""Pixels of an image -> its part and class."""


def pictures(channels: int = 3) -> Iterator[tuple[str, str, int, np.ndarray[Any, Any]]]:
    """Part, class, number and pixels H×W×C of every image."""
    generator = np.random.default_rng(0)
    for part, count in COUNTS.items():
        for name in CLASSES:
            for number in range(count):
                yield part, name, number, generator.integers(0, 256, (SIZE, SIZE, channels), np.uint8)


def truth(channels: int = 3) -> Truth:
    return {pixels.transpose(2, 0, 1).tobytes(): (part, name) for part, name, _, pixels in pictures(channels)}


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def opened_labels(dataset: Dataset) -> Tensor:
    """The test labels, which only a test of the reader may open."""
    return dataset.test_labels._labels  # type: ignore[attr-defined]


def contents(dataset: Dataset, names: Mapping[str, str] | None = None) -> Truth:
    found: Truth = {}
    for part, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("test", dataset.test_images, opened_labels(dataset)),
    ):
        for image, label in zip(images, labels.tolist(), strict=True):
            name = dataset.class_names[label]
            found[image.numpy().tobytes()] = (part, (names or {}).get(name, name))
    return found


def loaded(name: str, **arguments: Any) -> Dataset:
    return load(name, image_size=SIZE, **arguments)


def write_folder(folder: Path) -> None:
    for part, name, number, pixels in pictures():
        path = folder / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(pixels))


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz"])
def test_a_tar_is_read_like_the_folder_in_it(tmp_path: Path, ending: str) -> None:
    write_folder(tmp_path / "pets")
    archive = tmp_path / f"pets.{ending}"
    with tarfile.open(archive, "w" if ending == "tar" else "w:gz") as target:
        target.add(tmp_path / "pets", "pets")
    assert contents(loaded(f"folder:{archive}")) == truth()
    assert loaded(f"folder:{archive}").fingerprint == loaded(f"folder:{tmp_path / 'pets'}").fingerprint
    assert not list((Path(os.environ["SSLBENCH_CACHE"])).glob("tmp*"))


def _link(target: tarfile.TarFile) -> None:
    info = tarfile.TarInfo("pets/train/cat/link.png")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
    target.addfile(info)


def _named(name: str) -> Callable[[tarfile.TarFile], None]:
    return lambda target: target.addfile(tarfile.TarInfo(name))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (_link, "a link"),
        (_named("../outside.png"), "outside the archive"),
        (_named("/etc/outside.png"), "outside the archive"),
        (_named("pets/\x1b[2J.png"), "control characters"),
        (_named("pets/train/cat/0.png"), "twice"),
    ],
)
def test_an_unsafe_tar_is_refused(tmp_path: Path, extra: Callable[[tarfile.TarFile], None], message: str) -> None:
    write_folder(tmp_path / "pets")
    with tarfile.open(tmp_path / "pets.tar", "w") as target:
        target.add(tmp_path / "pets", "pets")
        extra(target)
    with pytest.raises(SslbenchError, match=message):
        loaded(f"folder:{tmp_path / 'pets.tar'}")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08 cut off", b"no tar at all" * 100])
def test_a_damaged_tar_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pets.tar.gz").write_bytes(content)
    with pytest.raises(SslbenchError, match=r"pets\.tar\.gz is (not a readable|an empty) tar") as error:
        loaded(f"folder:{tmp_path / 'pets.tar.gz'}")
    assert "\n" not in str(error.value)


def test_a_cut_off_tar_is_one_clear_line(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets")
    with tarfile.open(tmp_path / "pets.tar", "w") as target:
        target.add(tmp_path / "pets", "pets")
    whole = (tmp_path / "pets.tar").read_bytes()
    (tmp_path / "pets.tar").write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(SslbenchError, match=r"pets\.tar|pets"):
        loaded(f"folder:{tmp_path / 'pets.tar'}")


def write_table(folder: Path, delimiter: str = ",", header: tuple[str, str, str] = ("path", "label", "split")) -> Path:
    write_folder(folder / "images")
    table = folder / ("pets.tsv" if delimiter == "\t" else "pets.csv")
    with table.open("w", newline="", encoding="utf-8-sig") as target:
        writer = csv.writer(target, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows([f"images/{part}/{name}/{number}.png", name, part] for part, name, number, _ in pictures())
    return table


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_table_of_paths_and_labels(tmp_path: Path, delimiter: str) -> None:
    table = write_table(tmp_path, delimiter, ("File_Name", "Class", "set"))
    assert contents(loaded(f"csv:{table}")) == truth()


def test_a_table_without_parts_gives_a_fifth_to_the_test_part(tmp_path: Path) -> None:
    table = write_table(tmp_path, header=("path", "label", "remark"))
    dataset = loaded(f"csv:{table}")
    assert (len(dataset.train_images), len(dataset.test_images)) == (22, 6)
    assert {pixels: name for pixels, (_, name) in contents(dataset).items()} == {p: n for p, (_, n) in truth().items()}


def test_rows_without_a_label_are_unlabelled_images(tmp_path: Path) -> None:
    table = write_table(tmp_path)
    lines = table.read_text("utf-8").splitlines()
    lines[1] = lines[1].replace(",cat,", ",,")
    table.write_text("\n".join(lines), "utf-8")
    dataset = loaded(f"csv:{table}")
    assert dataset.unlabelled_images is not None and len(dataset.unlabelled_images) == 1
    assert len(dataset.train_images) == 19


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../outside.png,cat,train", "leads out of the folder"),
        ("/etc/hostname,cat,train", "leads out of the folder"),
        ("images/train/cat/0.png,dog,train", "is also in row 2"),
        ("images/missing.png,cat,train", "row 30: images/missing.png cannot be read"),
        ("images,cat,train", "is not a file"),
        ("images/train/cat/0.png,cat", "2 values instead of 3"),
        ("images/train/cat/9.png|x,cat|dog,train", "several labels"),
        ('"a,b', "not a readable table"),
        ("\x00,cat,train", "row 30|not a readable table"),
    ],
)
def test_a_wrong_row_of_a_table_is_named(tmp_path: Path, line: str, message: str) -> None:
    table = write_table(tmp_path)
    with table.open("a", encoding="utf-8") as target:
        target.write(line)
    with pytest.raises(SslbenchError, match=message) as error:
        loaded(f"csv:{table}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column of paths"),
        (b"path,label\n", "lists no images"),
        (b"path,image,label\na.png,b.png,cat\n", "the columns path and image"),
        (b"name,label\na.png,cat\n", "no column of paths"),
        (b"path,kind\na.png,cat\n", "no column of labels"),
        ("path,label\na.png,Käfer\n".encode("latin-1"), "is not UTF-8"),
    ],
)
def test_a_table_that_is_not_clear_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SslbenchError, match=message):
        loaded(f"csv:{tmp_path / 't.csv'}")


def arrays(channels: int) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of MedMNIST: images N×H×W or N×H×W×3, labels N×1."""
    found: dict[str, list[Any]] = {}
    for part, name, _, pixels in pictures(channels):
        found.setdefault(f"{part}_images", []).append(pixels[..., 0] if channels == 1 else pixels)
        found.setdefault(f"{part}_labels", []).append([CLASSES.index(name)])
    return {name: np.array(values, np.uint8) for name, values in found.items()}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_medmnist(tmp_path: Path, channels: int, save: Callable[..., None]) -> None:
    save(
        tmp_path / "pets.npz",
        **arrays(channels),
        val_images=arrays(channels)["test_images"],
        val_labels=np.ones((8, 1), np.uint8),
    )
    dataset = loaded(f"npz:{tmp_path / 'pets.npz'}")
    assert contents(dataset, {"0": "cat", "1": "dog"}) == truth(channels)
    assert dataset.traits.channels == channels
    assert dataset.left_out == {"images of val, because test is the test part": 8}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.ones((20, 3), np.uint8)}, "one label, not several"),
        ({"train_labels": np.array(["cat"] * 20, object)}, "Python objects"),
        ({"train_labels": np.ones(19, np.uint8)}, "19 train_labels"),
        ({"train_images": np.zeros((20, 8, 8, 8), np.uint8)}, "not images of 8 bits"),
        ({"train_images": np.zeros((20, 8, 8), np.float32)}, "not images of 8 bits"),
        ({"train_images": np.zeros((0, 8, 8), np.uint8), "train_labels": np.zeros((0, 1), np.uint8)}, "train"),
        ({"train_labels": np.ones((20, 1), np.uint8)}, "single class"),
        ({"test_labels": np.full((8, 1), 7, np.uint8)}, "different classes: class 0"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "pets.npz", **(arrays(3) | changes))
    with pytest.raises(SslbenchError, match=message) as error:
        loaded(f"npz:{tmp_path / 'pets.npz'}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"\x93NUMPY"])
def test_a_damaged_file_of_arrays_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pets.npz").write_bytes(content)
    with pytest.raises(SslbenchError, match=r"not a readable \.npz"):
        loaded(f"npz:{tmp_path / 'pets.npz'}")


def write_shards(folder: Path, label: Callable[[str], dict[str, Any]]) -> None:
    folder.mkdir()
    for part in COUNTS:
        for shard in range(2):
            with webdataset.TarWriter(str(folder / f"pets-{part}-{shard:03}.tar")) as target:
                for found, name, number, pixels in pictures():
                    if found == part and number % 2 == shard:
                        target.write({"__key__": f"{name}{number:04}", "png": png(pixels), **label(name)})


@pytest.mark.parametrize("label", [lambda name: {"cls": CLASSES.index(name)}, lambda name: {"json": {"label": name}}])
@pytest.mark.parametrize("pattern", ["shards", "shards/*.tar", "shards/pets-{pattern}-*.tar"])
def test_tar_shards_of_webdataset(tmp_path: Path, label: Callable[[str], dict[str, Any]], pattern: str) -> None:
    write_shards(tmp_path / "shards", label)
    if "{" in pattern:
        dataset = loaded(f"wds:{tmp_path}/shards/pets-train-{{000..001}}.tar")
        assert len(dataset.train_images) + len(dataset.test_images) == 20
        return
    assert contents(loaded(f"wds:{tmp_path}/{pattern}"), {"0": "cat", "1": "dog"}) == truth()


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"png": b"x", "json": b"{"}, "is not JSON"),
        ({"png": b"x", "json": json.dumps({"label": [1, 2]}).encode()}, "one label"),
        ({"png": b"x", "jpg": b"x", "cls": b"1"}, "has 2 images"),
        ({"png": b"no image", "cls": b"cat"}, "corrupt image"),
        ({"png": b"x", "cls": b"\xff\xfe"}, "is not UTF-8"),
    ],
)
def test_a_wrong_sample_of_a_shard_is_named(tmp_path: Path, sample: dict[str, bytes], message: str) -> None:
    write_shards(tmp_path / "shards", lambda name: {"cls": name})
    with tarfile.open(tmp_path / "shards" / "pets-train-000.tar", "a") as target:
        for ending, content in sample.items():
            info = tarfile.TarInfo(f"odd.{ending}")
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    with pytest.raises(SslbenchError, match=message):
        loaded(f"wds:{tmp_path / 'shards'}")


@pytest.mark.parametrize(
    "name", ["pipe:touch {}/ran", "https://example.org/a.tar", "{}/none.tar", "{}/a-{{0..2}}.tar", "{}/{{5..1}}.tar"]
)
def test_shards_that_are_not_there_or_run_commands_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SslbenchError):
        loaded("wds:" + name.format(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_of_torchvisions_eurosat(tmp_path: Path) -> None:
    root = tmp_path / "data" / "eurosat" / "2750"
    for _, name, number, pixels in pictures():
        path = root / name / f"{number}-{pixels[0, 0, 0]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(pixels))
    assert len(torchvision.datasets.EuroSAT(str(tmp_path / "data"))) == 28
    dataset = loaded("torchvision:EuroSAT", data_root=tmp_path / "data")
    assert (len(dataset.train_images), len(dataset.test_images)) == (22, 6)
    assert {pixels: name for pixels, (_, name) in contents(dataset).items()} == {p: n for p, (_, n) in truth().items()}


@pytest.mark.parametrize(
    ("name", "message"), [("Eurosat", "did you mean 'EuroSAT'"), ("CelebA", "one class per image")]
)
def test_a_set_of_torchvision_that_is_not_read_is_named(name: str, message: str) -> None:
    with pytest.raises(SslbenchError, match=message):
        loaded(f"torchvision:{name}")
