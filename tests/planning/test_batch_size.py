"""The batch size follows the images that pretraining sees, with and without labels."""

from dataclasses import replace

import pytest
import torch
from support.in_process import options_of, wanted_runs

from bench.data import load
from bench.errors import SslbenchError
from bench.execution.encoder import build_method
from bench.planning.batch_size import batch_size
from bench.planning.request import Request
from bench.registry.methods import load_method
from methods.parts.queue import Queue


@pytest.fixture(scope="module")
def few_labels():
    """40 labelled and 200 unlabelled images of digits."""
    digits = load("digits")
    traits = replace(digits.traits, images=240, train=40)
    return replace(
        digits,
        traits=traits,
        train_images=digits.train_images[:40],
        train_labels=torch.arange(40) % 10,
        val=torch.arange(10),
        unlabelled_images=digits.train_images[40:240],
    )


def test_a_quarter_of_all_images_is_a_batch(few_labels):
    assert batch_size(Request([]), load_method("simclr"), few_labels) == 60
    assert batch_size(Request([], batch_size=100), load_method("simclr"), few_labels) == 100
    with pytest.raises(SslbenchError, match="between 2 and 240"):
        batch_size(Request([], batch_size=241), load_method("simclr"), few_labels)


def test_a_method_that_needs_labels_counts_only_labelled_images(few_labels):
    assert batch_size(Request([]), load_method("supervised"), few_labels) == 10


def test_queues_hold_a_quarter_of_all_images(few_labels, tmp_path):
    (wanted,) = wanted_runs(Request(["moco"]), options_of(tmp_path))
    method = build_method(wanted.identity, few_labels)
    assert {len(module.keys) for module in method.modules() if isinstance(module, Queue)} == {60}


@pytest.mark.parametrize(("dataset", "images"), [("digits", 1438), ("mnist", 60_000), ("stl10", 105_000)])
def test_published_data_sets_keep_their_batch_of_256(dataset, images):
    traits = replace(load("digits").traits, images=images, train=min(images, 5000))
    data = replace(load("digits"), traits=traits)
    assert batch_size(Request([]), load_method("simclr"), data) == 256
