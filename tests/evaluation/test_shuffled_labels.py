"""Training labels that say nothing give chance through the whole evaluation: label sets, features, protocol, score."""

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


def balanced(labels, each):
    return torch.cat([(labels == label).nonzero().flatten()[:each] for label in labels.unique()])


@pytest.fixture(scope="module")
def evaluation():
    """As many images of every class in train and in test: whatever is guessed is right once in ten."""
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


def shortened(entry):
    """The same protocol, with few label sets and steps where the network is trained."""
    constants = dict(entry.constants)
    if "training" not in constants:
        return entry
    constants |= {"draws": 2, "training": replace(constants["training"], steps=10, passes=1)}
    return replace(entry, constants=constants, draws=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "knn", "lowshot-1-frozen", "lowshot-1"])
def test_shuffled_training_labels_give_chance(evaluation, name, monkeypatch):
    monkeypatch.setitem(catalogue.ENTRIES, name, shortened(catalogue.resolve(name)))
    data, found = evaluation.dataset, []
    for shuffle in range(SHUFFLES):
        order = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(shuffle))
        mixed = replace(data, train_labels=data.train_labels[order])
        again = Evaluation(evaluation.encoder, mixed, evaluation.backbone, seed=0)
        # Features know no labels: those of the first evaluation serve all.
        again.features = evaluation.features
        found.append(again.measure(name).metrics["top1"])
    assert len(set(found)) > SHUFFLES / 2
    assert abs(np.mean(found) - 0.1) <= 4 * np.std(found, ddof=1) / np.sqrt(SHUFFLES)
