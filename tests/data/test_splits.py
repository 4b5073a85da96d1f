from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import load
from bench.data.development import development
from bench.data.splits import TEST, VAL, permutation, stratified
from bench.errors import SslbenchError


def test_val_is_a_tenth_of_every_class_rounded_half_up() -> None:
    dataset = load("digits")
    counts = torch.bincount(dataset.train_labels)
    assert torch.bincount(dataset.train_labels[dataset.val]).tolist() == [
        int(count / 10 + 0.5) for count in counts.tolist()
    ]


@pytest.mark.parametrize(
    ("images", "fifth", "tenth"), [(2, 1, 1), (4, 1, 1), (5, 1, 1), (8, 2, 1), (13, 3, 1), (15, 3, 2)]
)
def test_parts_are_rounded_half_up_with_at_least_one_image_on_each_side(images: int, fifth: int, tenth: int) -> None:
    labels = np.zeros(images, np.int64)
    for part, expected in ((TEST, fifth), (VAL, tenth)):
        remaining, taken = stratified(labels, part, "test", ["only"])
        assert len(taken) == expected
        assert sorted([*remaining, *taken]) == list(range(images))


def test_error_for_a_class_too_small_to_split_names_it() -> None:
    with pytest.raises(SslbenchError, match="class rare has too few training images"):
        stratified(np.array([0, 0, 0, 1]), VAL, "val", ["usual", "rare"])


def test_split_does_not_depend_on_the_global_generators() -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    first = load("digits")
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    second = load("digits")
    assert first.fingerprint == second.fingerprint and torch.equal(first.val, second.val)


def test_permutation_is_the_same_on_every_machine() -> None:
    assert permutation(10, "golden").tolist() == [1, 2, 5, 7, 4, 0, 3, 9, 8, 6]
    assert sorted(permutation(1000, "any")) == list(range(1000))


def test_fingerprint_of_digits_is_the_same_on_every_machine() -> None:
    assert load("digits").fingerprint == "adc4a6170cc7235b0c4dcd065d592749"


def test_development_task_uses_val_as_its_test_part() -> None:
    dataset = load("digits")
    task = load("digits", development=True)
    val = dataset.val
    rest = np.setdiff1d(np.arange(len(dataset.train_labels)), val.numpy())
    assert torch.equal(task.test_images, dataset.train_images[val])
    assert torch.equal(task.test_labels.open(), dataset.train_labels[val])
    assert torch.equal(task.train_images, dataset.train_images[rest])
    assert torch.equal(task.train_labels, dataset.train_labels[rest])
    assert dataset.test_labels.openings == 0
    assert task.fingerprint != dataset.fingerprint


def test_development_task_has_its_own_val_and_traits() -> None:
    task = load("digits", development=True)
    counts = torch.bincount(task.train_labels)
    assert torch.bincount(task.train_labels[task.val]).tolist() == [int(count / 10 + 0.5) for count in counts.tolist()]
    pixels = task.train_images.double() / 255
    assert task.traits.mean == pytest.approx([pixels.mean().item()], abs=1e-12)
    assert task.traits.std == pytest.approx([pixels.std(correction=0).item()], abs=1e-12)
    assert task.traits.images == len(task.train_labels)


def test_error_for_a_class_too_small_for_the_development_task_names_it(tmp_path: Path) -> None:
    dataset = load("digits")
    labels = dataset.train_labels.clone()
    keep = torch.cat([(labels != 3).nonzero().squeeze(1), (labels == 3).nonzero().squeeze(1)[:2]])
    small = type(dataset)(
        **{
            **dataset.__dict__,
            "train_images": dataset.train_images[keep],
            "train_labels": labels[keep],
            "val": torch.tensor([len(keep) - 1]),
        }
    )
    with pytest.raises(SslbenchError, match="development task: class 3 has too few training images"):
        development(small)
