import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import load
from bench.data.dataset import Dataset
from bench.data.describe import description
from bench.data.layout import layout
from bench.data.raw import Pixels
from bench.errors import SslbenchError

Folder = Callable[..., Path]


def _load(path: Path, **options: int | bool) -> Dataset:
    return load(f"folder:{path}", **{"image_size": 8, **options})  # type: ignore[arg-type]


def test_imagenette_zip_has_its_counts_and_its_val_is_the_test_part(shared_data: Path) -> None:
    path = shared_data / "imagenette-96.zip"
    dataset = load(f"folder:{path}")
    assert torch.bincount(dataset.train_labels).tolist() == [280] * 10
    assert torch.bincount(dataset.test_labels.open()).tolist() == [90] * 10
    assert dataset.train_images.shape == (2800, 3, 96, 96)
    assert dataset.class_names[0] == "n01440764"
    assert re.fullmatch(r"folder-imagenette-96-[0-9a-f]{8}", dataset.name)
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("train/"))
        for at in (0, 279, 280, 2799):
            with Image.open(io.BytesIO(archive.read(names[at]))) as image:
                assert (dataset.train_images[at].numpy() == np.asarray(image).transpose(2, 0, 1)).all()


def test_folder_of_classes_without_parts_gets_a_stratified_fifth_as_test(digit_folder: Folder) -> None:
    dataset = _load(digit_folder(images=15, classes=3))
    assert torch.bincount(dataset.train_labels).tolist() == [12] * 3
    assert torch.bincount(dataset.test_labels.open()).tolist() == [3] * 3


def test_train_test_and_unlabelled_are_read_and_test_is_preferred_to_val(digit_folder: Folder, digits: Pixels) -> None:
    root = digit_folder(parts=("train", "test", "val"), images=5)
    (root / "unlabelled/any").mkdir(parents=True)
    Image.fromarray(digits[5]).save(root / "unlabelled/any/five.png")
    Image.fromarray(digits[6]).save(root / "unlabelled/six.png")
    dataset = _load(root)
    assert (dataset.train_images[:, 0].numpy() == digits[[0, 10, 20, 30, 40, 1, 11, 21, 31, 41]]).all()
    assert (dataset.test_images[:, 0].numpy() == digits[[50, 60, 70, 80, 90, 51, 61, 71, 81, 91]]).all()
    assert dataset.unlabelled_images is not None
    assert (dataset.unlabelled_images[:, 0].numpy() == digits[[5, 6]]).all()
    assert (dataset.traits.images, dataset.traits.train) == (12, 10)


def test_single_folder_that_contains_all_others_is_skipped() -> None:
    parts = layout(
        ["data/set/train/a/1.jpg", "data/set/train/b/1.JPG", "data/set/val/a/2.png", "data/set/val/b/2.png"], "here"
    )
    assert parts.class_names == ["a", "b"] and len(parts.train) == len(parts.test) == 2


def test_grey_images_give_one_channel_and_a_single_colour_image_gives_three(digit_folder: Folder) -> None:
    root = digit_folder()
    grey = _load(root)
    assert grey.traits.channels == 1 and grey.train_images.shape[1:] == (1, 8, 8)
    Image.new("RGB", (8, 8), (255, 254, 255)).save(root / "class-1/pink.png")
    colour = _load(root)
    assert colour.traits.channels == 3 and colour.fingerprint != grey.fingerprint


def test_grey_images_in_many_blocks_keep_their_order(tmp_path: Path) -> None:
    for label in (0, 1):
        (tmp_path / f"set/train/{label}").mkdir(parents=True)
        for at in range(100):
            Image.new("L", (8, 8), label * 100 + at).save(tmp_path / f"set/train/{label}/{at:03}.png")
    dataset = _load(tmp_path / "set")
    every = torch.cat([dataset.train_images, dataset.test_images])
    labels = torch.cat([dataset.train_labels, dataset.test_labels.open()])
    assert every[:, 0, 3, 3].sort().values.tolist() == list(range(200))
    assert ((every[:, 0, 3, 3] >= 100).long() == labels).all()


def test_files_left_out_are_counted_by_kind_with_and_without_decoding(digit_folder: Folder) -> None:
    root = digit_folder()
    (root / "README.txt").write_text("text")
    (root / "class-0/labels.csv").write_text("text")
    (root / "cover.png").write_bytes((root / "class-0/0.png").read_bytes())
    (root / "class-1/Thumbs.db").write_bytes(b"index")
    for _ in ("decoded", "from the cache"):
        dataset = _load(root)
        assert len(dataset.train_labels) + len(dataset.test_labels) == 10
        assert dataset.left_out == {
            "images in no class folder": 1,
            ".txt files": 1,
            ".csv files": 1,
            "hidden or generated files and folders": 1,
        }
        assert "class-0 (4), class-1 (4)" in description(dataset)[0]
        assert "image files of 8×8 pixels, resized to 8×8" in description(dataset)


@pytest.mark.parametrize("data", [b"", b"no image", None])
def test_corrupt_image_is_named(digit_folder: Folder, data: bytes | None) -> None:
    root = digit_folder(images=40)
    bad = root / "class-1/7.png"
    bad.write_bytes(bad.read_bytes()[:60] if data is None else data)
    with pytest.raises(SslbenchError, match=r"class-1/7\.png in .*pictures is a corrupt image") as caught:
        _load(root)
    assert "\n" not in str(caught.value)


def test_folders_with_too_few_classes_or_images_are_refused(digit_folder: Folder, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SslbenchError, match="a single class, class-0"):
        _load(digit_folder(classes=1, name="one"))
    with pytest.raises(SslbenchError, match="no class"):
        _load(empty)
    with pytest.raises(SslbenchError, match="class class-0 has too few training images \\(1\\)"):
        _load(digit_folder(images=1, name="single"))
    with pytest.raises(SslbenchError, match="has 6 train images, fewer than 8"):
        _load(digit_folder(images=4, name="few"))
    unmatched = digit_folder(parts=("train", "test"), name="unmatched")
    (unmatched / "test/class-1").rename(unmatched / "test/class-9")
    with pytest.raises(SslbenchError, match="class class-1 is not in both train/ and test/"):
        _load(unmatched)


def test_image_size_and_flip_change_fingerprint_and_name(digit_folder: Folder) -> None:
    root = digit_folder(name="My Pictures (v2)")
    tasks = [_load(root), _load(root, flip=False), _load(root, image_size=16)]
    assert len({task.fingerprint for task in tasks}) == len({task.name for task in tasks}) == 3
    assert [task.traits.horizontal_flip for task in tasks] == [True, False, True]
    assert all(re.fullmatch(r"folder-my-pictures-v2-[0-9a-f]{8}", task.name) for task in tasks)
    with pytest.raises(SslbenchError, match="--image-size 4 is not one of 8 to 1024"):
        _load(root, image_size=4)


def test_constant_channel_has_a_standard_deviation_above_zero(tmp_path: Path) -> None:
    for label in (0, 1):
        (tmp_path / f"set/{label}").mkdir(parents=True)
        for at in range(10):
            Image.new("RGB", (8, 8), (at * 9, 7, label)).save(tmp_path / f"set/{label}/{at}.png")
    assert min(_load(tmp_path / "set").traits.std) > 0
