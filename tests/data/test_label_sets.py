import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.data import load
from bench.data.label_sets import label_set, label_sets_hash
from bench.errors import SslbenchError
from protocols.catalogue import resolve

CHAIN = ("1", "5", "1pct", "64", "10pct", "100pct")
"""Ascending label sets for 6,000 images per class."""


@pytest.fixture
def fashion(shared_data: Path) -> Tensor:
    return load("fashion_mnist", data_root=shared_data).train_labels


@pytest.mark.parametrize("draw", [0, 1, 9])
def test_label_sets_are_balanced_and_nested_within_a_draw(fashion: Tensor, draw: int) -> None:
    sizes = {"1": 1, "5": 5, "1pct": 60, "64": 64, "10pct": 600, "100pct": 6000}
    for labels, per_class in sizes.items():
        assert torch.bincount(fashion[label_set(fashion, labels, draw)]).tolist() == [per_class] * 10
    for smaller, larger in itertools.pairwise(CHAIN):
        assert set(label_set(fashion, smaller, draw).tolist()) <= set(label_set(fashion, larger, draw).tolist())


def test_percentages_apply_per_class_rounded_half_up_with_at_least_one_image() -> None:
    labels = load("digits").train_labels
    counts = torch.bincount(labels)
    assert torch.bincount(labels[label_set(labels, "1pct", 0)]).tolist() == [1] * 10
    assert torch.bincount(labels[label_set(labels, "10pct", 0)]).tolist() == [
        int(n / 10 + 0.5) for n in counts.tolist()
    ]
    uneven = torch.tensor([0] * 5 + [1] * 25 + [2] * 3)
    assert torch.bincount(uneven[label_set(uneven, "10pct", 0)]).tolist() == [1, 3, 1]


def test_one_percent_of_digits_is_the_same_set_as_one_label_per_class() -> None:
    labels = load("digits").train_labels
    assert torch.equal(label_set(labels, "1pct", 4), label_set(labels, "1", 4))


def test_draws_differ_and_are_repeatable(fashion: Tensor) -> None:
    draws = [label_set(fashion, "5", draw) for draw in range(10)]
    assert len({label_sets_hash([draw]) for draw in draws}) == 10
    torch.manual_seed(1)
    assert all(torch.equal(again, label_set(fashion, "5", draw)) for draw, again in enumerate(draws))


def test_label_sets_of_fashion_mnist_are_the_same_on_every_machine(fashion: Tensor) -> None:
    assert (
        label_sets_hash([label_set(fashion, "10pct", draw) for draw in range(3)]) == "6adbba6b10b20b41edb1586f84816c15"
    )


def test_label_sets_of_digits_are_the_same_on_every_machine() -> None:
    labels = load("digits").train_labels
    assert label_sets_hash([label_set(labels, "1", draw) for draw in range(10)]) == "844f85e578af22802433be5b5102a9ab"


def test_hash_depends_on_the_sets_and_their_order() -> None:
    one, two = torch.tensor([1, 2]), torch.tensor([3])
    hashes = {label_sets_hash(sets) for sets in ([one, two], [two, one], [torch.tensor([1, 2, 3])], [one], [])}
    assert len(hashes) == 5


def test_class_with_too_few_images_is_named() -> None:
    labels = torch.tensor([0] * 9 + [1] * 3)
    with pytest.raises(SslbenchError, match="class rare has 3 train images, fewer than 5 labels per class"):
        label_set(labels, "5", 0, ["usual", "rare"])


@pytest.mark.parametrize("labels", ["1", "64", "1000000", "12345678", "0.5pct", "1pct", "0.001pct", "12.25pct"])
def test_labels_in_a_protocol_id_are_accepted_by_label_set(labels: str) -> None:
    entry = resolve(f"lowshot-{labels}")
    assert entry.labels == entry.constants["labels"] == labels
    same = torch.zeros(1000, dtype=torch.long)
    if labels.endswith("pct"):
        assert len(label_set(same, labels, 0)) == max(1, int(10 * float(labels[:-3]) + 0.5))
    elif int(labels) > 1000:
        with pytest.raises(SslbenchError, match=f"fewer than {labels} labels per class"):
            label_set(same, labels, 0)
    else:
        assert len(label_set(same, labels, 0)) == int(labels)


@pytest.mark.parametrize("labels", ["0", "", "-1", "five", "0pct", "101pct", "1%", "1.5", "1e3", "01", "1.0pct"])
def test_other_texts_are_not_a_number_of_labels(labels: str) -> None:
    with pytest.raises(SslbenchError, match="write a whole number of images per class"):
        label_set(torch.zeros(10, dtype=torch.long), labels, 0)
