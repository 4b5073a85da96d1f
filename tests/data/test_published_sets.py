import gzip
import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from bench.data import catalogue, load, locate
from bench.data.assemble import assemble
from bench.data.cifar import read as read_cifar
from bench.data.imagenette import read as read_imagenette
from bench.data.mnist import read_idx
from bench.data.raw import Pixels
from bench.data.stl10 import read as read_stl10
from bench.errors import SslbenchError

MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
CIFAR10_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


@pytest.mark.parametrize(
    ("name", "train", "test", "mean", "std", "flip"),
    [
        ("mnist", MNIST_TRAIN, MNIST_TEST, 0.1307, 0.3081, False),
        ("fashion_mnist", [6000] * 10, [1000] * 10, 0.2860, 0.3530, True),
    ],
)
def test_mnist_and_fashion_mnist_have_the_published_counts_mean_and_standard_deviation(
    shared_data: Path, name: str, train: list[int], test: list[int], mean: float, std: float, flip: bool
) -> None:
    before = sorted(path for path in shared_data.rglob("*"))
    dataset = load(name, data_root=shared_data)
    assert torch.bincount(dataset.train_labels).tolist() == train
    assert torch.bincount(dataset.test_labels.open()).tolist() == test
    assert dataset.train_images.shape == (60_000, 1, 28, 28) and dataset.train_images.dtype == torch.uint8
    assert dataset.traits.mean == pytest.approx([mean], abs=5e-5)
    assert dataset.traits.std == pytest.approx([std], abs=5e-5)
    assert dataset.traits.horizontal_flip is flip
    assert dataset.traits.images == 60_000
    assert sorted(path for path in shared_data.rglob("*")) == before


def test_digits_have_a_median_of_144_train_images_per_class_and_grey_values_from_0_to_255() -> None:
    dataset = load("digits")
    counts = torch.bincount(dataset.train_labels)
    assert counts.median() == 144 and len(dataset.train_labels) + len(dataset.test_labels) == 1797
    assert dataset.train_images.unique().tolist() == [round(level * 255 / 16) for level in range(17)]
    assert dataset.test_labels.openings == 0


def test_cifar10_has_the_published_counts_mean_and_standard_deviation(shared_data: Path) -> None:
    if not (shared_data / "cifar-10-batches-bin").is_dir():
        pytest.skip("no cifar-10-batches-bin next to the real images: get_cifar10.py in their folder writes it")
    dataset = load("cifar10", data_root=shared_data)
    assert torch.bincount(dataset.train_labels).tolist() == [5000] * 10
    assert torch.bincount(dataset.test_labels.open()).tolist() == [1000] * 10
    assert dataset.traits.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-5)
    assert dataset.traits.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=5e-5)


def test_data_root_can_be_set_by_an_environment_variable(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLBENCH_DATA", str(shared_data))
    assert locate.available("mnist") == str(shared_data / "MNIST/raw")
    assert locate.available("digits") == "in scikit-learn"
    assert locate.available("kmnist") is None


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.ENTRIES if entry.forms])
def test_without_files_and_internet_the_error_says_which_files_to_put_where(
    offline: None, tmp_path: Path, name: str
) -> None:
    with pytest.raises(SslbenchError, match=rf"{name}: no .* put them into .*--data-root or SSLBENCH_DATA") as caught:
        load(name, data_root=tmp_path / "empty")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "empty").exists()


def _cut(path: Path, out: Path, keep: float) -> Path:
    data = path.read_bytes()
    out.write_bytes(data[: int(len(data) * keep)])
    return out


def test_error_for_a_corrupt_or_truncated_idx_file_names_it(shared_data: Path, tmp_path: Path) -> None:
    good = shared_data / "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    raw = tmp_path / "raw"
    raw.write_bytes(gzip.decompress(good.read_bytes()))
    assert len(read_idx(raw, 1)) == len(read_idx(good, 1)) == 10_000
    flipped = bytearray(good.read_bytes())
    flipped[2000] ^= 0xFF
    (tmp_path / "flipped.gz").write_bytes(flipped)
    for path in (
        _cut(good, tmp_path / "short.gz", 0.5),
        _cut(raw, tmp_path / "short", 0.5),
        tmp_path / "flipped.gz",
        _cut(raw, tmp_path / "empty", 0),
    ):
        with pytest.raises(SslbenchError, match=path.name):
            read_idx(path, 1)
    with pytest.raises(SslbenchError, match="not an idx file of bytes in 3 dimensions"):
        read_idx(good, 3)


def test_different_numbers_of_images_and_labels_are_refused(shared_data: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST/raw"
    shutil.copytree(shared_data / "MNIST/raw", raw)
    for path in raw.iterdir():
        path.chmod(0o644)
    shutil.copy(raw / "t10k-labels-idx1-ubyte.gz", raw / "train-labels-idx1-ubyte.gz")
    with pytest.raises(SslbenchError, match=r"60000 images, train-labels-idx1-ubyte\.gz 10000 labels"):
        load("mnist", data_root=tmp_path)


def _cifar10(folder: Path, images: int) -> np.ndarray:
    folder.mkdir(parents=True)
    records = np.random.default_rng(0).integers(0, 256, (6, images, 3073), dtype=np.uint8)
    records[..., 0] = np.arange(images) % 10
    for file, block in zip(CIFAR10_FILES, records, strict=True):
        (folder / file).write_bytes(block.tobytes())
    return records


def test_cifar10_binary_files_are_read_channel_first_in_order(tmp_path: Path) -> None:
    records = _cifar10(tmp_path / "cifar-10-batches-bin", 20)
    source = read_cifar("cifar10", tmp_path / "cifar-10-batches-bin", 32)
    assert source.train_labels.tolist() == list(range(10)) * 10
    assert source.train_images.shape == (100, 3, 32, 32)
    third = records[1, 3]
    assert source.train_images[23, 2, 5, 7] == third[1 + 2 * 1024 + 5 * 32 + 7]
    assert source.test_images is not None and (source.test_images.reshape(20, -1) == records[5, :, 1:]).all()


def test_incomplete_cifar10_is_refused(tmp_path: Path) -> None:
    _cifar10(tmp_path / "cifar-10-batches-bin", 20)
    with pytest.raises(SslbenchError, match="100 train images, CIFAR-10 has 50000"):
        load("cifar10", data_root=tmp_path)


def test_cifar100_labels_are_the_fine_labels(tmp_path: Path) -> None:
    records = np.zeros((100, 3074), np.uint8)
    records[:, 0], records[:, 1] = np.arange(100) % 20, np.arange(100)
    for name in ("train", "test"):
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    folder = tmp_path.rename(tmp_path.with_name("cifar-100-binary"))
    source = read_cifar("cifar100", folder, 32)
    assert source.train_labels.tolist() == list(range(100))
    assert source.class_names[source.train_labels[3]] == "bear"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _wrong_label(path: Path) -> None:
    path.write_bytes(b"\x0a" + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("damage", "message"), [(_truncate, "truncated"), (_wrong_label, "label 10, but only 10 classes")]
)
def test_error_for_a_damaged_cifar_file_names_it(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    _cifar10(folder, 20)
    damage(folder / "data_batch_4.bin")
    with pytest.raises(SslbenchError, match=rf"data_batch_4\.bin .*{message}"):
        read_cifar("cifar10", folder, 32)


def test_manipulated_cifar10_python_files_are_refused_before_they_are_unpickled(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(b"cos\nabort\n(tR.")
    with pytest.raises(SslbenchError, match="cifar-10-batches-py is corrupt"):
        load("cifar10", data_root=tmp_path)


def test_cifar10_python_and_binary_files_give_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = _cifar10(tmp_path / "cifar-10-batches-bin", 20)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    sums = []
    for name, block in zip(CIFAR10_FILES, records, strict=True):
        content = pickle.dumps({"data": block[:, 1:], "labels": block[:, 0].tolist()})
        (folder / name.removesuffix(".bin")).write_bytes(content)
        sums.append([name.removesuffix(".bin"), hashlib.md5(content).hexdigest()])
    content = pickle.dumps({"label_names": ["any"] * 10})
    (folder / "batches.meta").write_bytes(content)
    meta = {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(content).hexdigest()}
    for field, value in (("train_list", sums[:-1]), ("test_list", sums[-1:]), ("meta", meta)):
        monkeypatch.setattr(torchvision.datasets.CIFAR10, field, value)
    python, binary = (read_cifar("cifar10", tmp_path / f"cifar-10-batches-{form}", 32) for form in ("py", "bin"))
    assert (python.train_images == binary.train_images).all() and (python.train_labels == binary.train_labels).all()
    assert (python.test_images == binary.test_images).all() and (python.test_labels == binary.test_labels).all()


def _stl10(folder: Path) -> np.ndarray:
    folder.mkdir(parents=True)
    upright = np.random.default_rng(0).integers(0, 256, (60, 3, 96, 96), dtype=np.uint8)
    stored = upright.transpose(0, 1, 3, 2)
    for name, rows in (("train", slice(0, 30)), ("test", slice(30, 50)), ("unlabeled", slice(50, 60))):
        (folder / f"{name}_X.bin").write_bytes(stored[rows].tobytes())
    for name, count in (("train", 30), ("test", 20)):
        (folder / f"{name}_y.bin").write_bytes((np.arange(count) % 10 + 1).astype(np.uint8).tobytes())
    return upright


def test_stl10_images_are_transposed_and_unlabelled_images_are_counted_for_pretraining(tmp_path: Path) -> None:
    upright = _stl10(tmp_path / "stl10_binary")
    dataset = assemble("stl10", read_stl10("stl10", tmp_path / "stl10_binary", 96), True)
    assert (dataset.train_images.numpy() == upright[:30]).all() and (
        dataset.test_images.numpy() == upright[30:50]
    ).all()
    assert dataset.unlabelled_images is not None and (dataset.unlabelled_images.numpy() == upright[50:]).all()
    assert dataset.train_labels.tolist() == list(range(10)) * 3
    assert (dataset.traits.images, dataset.traits.train) == (40, 30)


def test_error_for_a_damaged_stl10_file_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "stl10_binary"
    _stl10(folder)
    (folder / "test_y.bin").write_bytes(bytes(20))
    with pytest.raises(SslbenchError, match=r"test_y\.bin is corrupt"):
        read_stl10("stl10", folder, 96)
    _truncate(folder / "unlabeled_X.bin")
    with pytest.raises(SslbenchError, match=r"unlabeled_X\.bin is truncated"):
        read_stl10("stl10", folder, 96)


def test_image_size_and_flip_are_refused_for_digits() -> None:
    with pytest.raises(SslbenchError, match="leave --image-size out"):
        load("digits", image_size=32)
    with pytest.raises(SslbenchError, match="digits: --no-flip applies only to your own images"):
        load("digits", flip=True)
    assert load("digits", image_size=8, flip=False).name == "digits"


def test_imagenette_is_read_from_the_smallest_archive_that_is_large_enough(tmp_path: Path, digits: Pixels) -> None:
    for archive in ("imagenette2-160", "imagenette2-320"):
        for part in ("train", "val"):
            for label, word in enumerate(("n01440764", "n02102040")):
                (tmp_path / archive / part / word).mkdir(parents=True)
                picture = Image.fromarray(digits[label])
                picture.save(tmp_path / archive / part / word / "ILSVRC2012_val_00000293.JPEG")
    assert locate.find("imagenette", [tmp_path], 128) == tmp_path / "imagenette2-160"
    assert locate.find("imagenette", [tmp_path], 224) == tmp_path / "imagenette2-320"
    assert locate.find("imagenette", [tmp_path], 512) is None
    source = read_imagenette("imagenette", tmp_path / "imagenette2-160", 16)
    assert source.class_names == ["tench", "English springer"]
    assert source.test_images is not None and source.test_images.shape == (2, 1, 16, 16)
    with pytest.raises(SslbenchError, match="2 train images, Imagenette has 9469"):
        load("imagenette", data_root=tmp_path)
