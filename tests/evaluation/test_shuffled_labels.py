"""Shuffled training labels give chance accuracy in the whole evaluation: label sets, features, protocol and score."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import seeds
from bench.data import load
from bench.data.dataset import SealedLabels
from bench.data.splits import VAL, stratified
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.features import calibrate_batch_norm
from bench.execution.encoder import build_method
from bench.records.record import Identity
from bench.views.prepare import prepare
from protocols import catalogue

SHUFFLES = 20
TRAIN, TEST = 40, 30


def balanced(labels, per_class):
    return torch.cat([(labels == label).nonzero().flatten()[:per_class] for label in labels.unique()])


@pytest.fixture(scope="module")
def evaluation():
    """The same number of images per class in train and in test, so that any guess is correct with probability 0.1."""
    data = load("digits")
    keep, test = balanced(data.train_labels, TRAIN), balanced(truth := data.test_labels.open(), TEST)
    labels = data.train_labels[keep]
    data = replace(
        data,
        train_images=data.train_images[keep],
        train_labels=labels,
        val=torch.from_numpy(stratified(labels.numpy(), VAL, "val", data.class_names)[1]),
        test_images=data.test_images[test],
        test_labels=SealedLabels(truth[test]),
    )
    seeds.seed_everything(0, "init")
    identity = Identity("digits", "f", "test", "random_init", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
    encoder = build_method(identity, data).encoder().eval()
    calibrate_batch_norm(encoder, data.train_images, lambda x: prepare(x, encoder.input, torch.device("cpu")))
    return Evaluation(encoder, data, "resnet9_slim", 0)


def with_fewer_steps(entry):
    """The same protocol; if it trains the network, with fewer label sets and steps."""
    constants = dict(entry.constants)
    if "training" not in constants:
        return entry
    constants |= {"draws": 2, "training": replace(constants["training"], steps=10, passes=1)}
    return replace(entry, constants=constants, draws=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "knn", "lowshot-1-frozen", "lowshot-1"])
def test_shuffled_training_labels_give_chance(evaluation, name, monkeypatch):
    monkeypatch.setitem(catalogue.ENTRIES, name, with_fewer_steps(catalogue.resolve(name)))
    data, found = evaluation.dataset, []
    for shuffle in range(SHUFFLES):
        order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(shuffle))
        shuffled = replace(data, train_labels=data.train_labels[order])
        repeated = Evaluation(evaluation.encoder, shuffled, evaluation.network.backbone, seed=0)
        # Features do not depend on labels, so they are extracted only once.
        repeated.features = evaluation.features
        found.append(repeated.measure(name).metrics["top1"])
    assert len(set(found)) > SHUFFLES / 2
    assert abs(np.mean(found) - 0.1) <= 4 * np.std(found, ddof=1) / np.sqrt(SHUFFLES)
