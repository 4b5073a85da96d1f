"""``--share``: which images are used, what the method knows about them, and what the record contains."""

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from support.in_process import options_of, wanted_runs

from bench.data import load
from bench.data.development import development
from bench.data.share import seen, seen_traits
from bench.errors import SslbenchError
from bench.execution.encoder import build_method, pretraining_set
from bench.planning.request import Request
from bench.records.record import Identity
from methods.simclr import SimCLR
from methods.supervised import Supervised

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def identities(**changes):
    return [run.identity for run in wanted_runs(Request(**{"methods": [], **changes}), options_of(Path("results")))]


def test_smaller_shares_are_subsets_of_larger_ones_and_have_the_requested_size(digits):
    shares = [0.1, 0.5, 0.8, 1.0]
    parts = [seen(digits, share) for share in shares]
    for share, part in zip(shares, parts, strict=True):
        assert len(part) == round(Fraction(str(share)) * digits.traits.images)
        assert torch.equal(part, part.unique())
    for smaller, larger in pairwise(parts):
        assert torch.isin(smaller, larger).all()
    assert torch.equal(parts[-1], seen(digits, None))
    assert parts[1].min() < 20
    assert parts[1].max() > digits.traits.images - 20


def test_a_share_is_drawn_from_train_and_unlabelled_together(digits):
    more = replace(
        digits,
        unlabelled_images=digits.test_images,
        traits=replace(digits.traits, images=digits.traits.images + len(digits.test_images)),
    )
    part = seen(more, 0.5)
    train = len(digits.train_labels)
    data = pretraining_set(SimCLR, more, CPU, 0.5)
    all_images = torch.cat([digits.train_images, digits.test_images])
    assert torch.equal(data.images, all_images[part])
    assert 0.4 < int((part < train).sum()) / train < 0.6
    assert torch.equal(pretraining_set(SimCLR, more, CPU).images, all_images)


def test_a_method_with_labels_uses_the_same_share_without_val(digits):
    data = pretraining_set(Supervised, digits, CPU, 0.8)
    part = seen(digits, 0.8, labels=True)
    assert torch.equal(data.images, digits.train_images[part])
    assert torch.equal(data.labels, digits.train_labels[part])
    assert not torch.isin(part, digits.val).any()
    assert torch.isin(part, seen(digits, 0.8)).all()


def test_a_method_knows_the_number_of_its_images(digits):
    assert seen_traits(digits, None) is digits.traits
    (identity,) = identities(methods=["simclr"], budget="smoke", share=0.8)
    traits = build_method(identity, digits).traits
    assert traits.images == traits.train == len(pretraining_set(SimCLR, digits, CPU, 0.8)) < digits.traits.images
    assert replace(traits, images=0, train=0) == replace(digits.traits, images=0, train=0)


def test_a_share_is_a_changed_setting_and_keeps_the_batch_size(digits):
    (whole,) = identities(methods=["simclr"], budget="smoke")
    (part,) = identities(methods=["simclr"], budget="smoke", share=0.8)
    assert part == replace(whole, settings={"share": 0.8})
    assert identities(methods=["simclr"], budget="smoke", share=1.0) == [whole]


def test_methods_without_training_ignore_the_share(digits):
    assert [identity.settings for identity in identities(methods=["pixels", "random_init"], share=0.01)] == [{}, {}]


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_out_of_range_is_an_error(share):
    with pytest.raises(SslbenchError, match=r"--share \S+: must be above 0"):
        identities(methods=["simclr"], share=share)


def test_a_share_smaller_than_a_batch_is_an_error():
    with pytest.raises(SslbenchError, match=r"--share 0.05: leaves 72 images, fewer than a batch of 256"):
        identities(methods=["simclr"], share=0.05)


def test_the_share_of_the_development_task_is_drawn_from_its_own_train(digits):
    task = development(digits)
    assert int(seen(task, 0.9).max()) < len(task.train_labels)


@pytest.mark.slow
def test_the_command_line_pretrains_on_a_share(sslbench, tmp_path):
    finished = sslbench(
        "run", "autoencoder", "--share", "0.5", "--budget", "2ep", "--batch-size", "90", "--protocol", "knn",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (path,) = (tmp_path / "results" / "records").rglob("seed-0.json")
    record = json.loads(path.read_text())
    identity = Identity(**record["identity"])
    assert identity.settings == {"batch_size": 90, "share": 0.5}
    assert record["curve"]["step"][-1] == 2 * (len(seen(load("digits"), 0.5)) // 90)
    assert "share=0.5" in finished.stdout.replace("\n", "")
