"""Evaluation on fake CUDA tensors: features, every protocol of the catalogue, and the solver of logistic regression."""

import math
from collections import defaultdict
from dataclasses import replace
from unittest import mock

import pytest
import torch
from gpu_ready.fake_cuda import CUDA, fake_cuda, to_fake_cuda
from support.short_protocols import shortened

from bench.backbones import build
from bench.data import load
from bench.data.dataset import Dataset
from bench.evaluation.features import batch_size, extract
from bench.evaluation.task import Network, generators, task_of
from bench.views.evaluation import augment
from bench.views.prepare import prepare
from methods.base import Encoder, InputSpec, input_of
from protocols import catalogue
from protocols.base import Task
from protocols.parts import logistic
from protocols.parts.training import Training

TASKS = defaultdict(list)
for entry in (
    *catalogue.ENTRIES.values(),
    *map(catalogue.resolve, (*catalogue.DEFAULT, "lowshot-5-mlp", "lowshot-5-conv", "scratch-5", "pseudolabel-5")),
):
    if entry not in TASKS[entry.module]:
        TASKS[entry.module].append(entry)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def network_of(dataset: Dataset) -> Network:
    torch.manual_seed(0)
    encoder = Encoder(build("resnet9_slim", dataset.traits), input_of(dataset.traits)).eval()
    to_fake_cuda(encoder)
    return Network(encoder, "resnet9_slim", CUDA)


def task(dataset: Dataset, purpose: str) -> Task:
    network = network_of(dataset)
    features = tuple(
        torch.zeros(len(images), network.encoder.dim, device=CUDA)
        for images in (dataset.train_images, dataset.test_images)
    )
    # There is no GPU that could be asked for its free memory.
    with mock.patch("bench.evaluation.task.room_for_images", lambda device: math.inf):
        return task_of(dataset, network, features, generators(0, purpose, CUDA), lambda: None)


def test_features_are_extracted_without_a_wait_per_batch(digits: Dataset) -> None:
    images = digits.train_images.repeat(20, 1, 1, 1)
    assert len(images) > 3 * batch_size(8)
    with fake_cuda("feature extraction"):
        network = network_of(digits)
        features = extract(network.encoder, images, lambda x: prepare(x, network.encoder.input, CUDA))
        assert features.device == CUDA and features.shape == (len(images), network.encoder.dim)


@pytest.mark.parametrize("size", [32, 48])
def test_images_are_prepared_and_resized_without_a_wait(size: int) -> None:
    images = torch.zeros(8, 1, 32, 32, dtype=torch.uint8)
    with fake_cuda("preparation"):
        for _ in range(2):
            prepared = prepare(images, InputSpec(size, 3, (0.5,) * 3, (0.25,) * 3), CUDA)
            assert prepared.device == CUDA and prepared.shape == (8, 3, size, size)


@pytest.mark.parametrize("kind", ["shift", "crop", "views"])
def test_images_are_augmented_without_a_wait(kind: str, digits: Dataset) -> None:
    with fake_cuda("augmentation"):
        images = torch.zeros(8, 1, 8, 8, dtype=torch.uint8, device=CUDA)
        views = augment(images, kind, torch.Generator(), digits.traits)
        assert all(view.device == CUDA for view in views)


@pytest.mark.parametrize("module", TASKS)
def test_protocols_wait_only_where_they_may(module: str, digits: Dataset) -> None:
    with fake_cuda(module) as watch:
        for entry in TASKS[module]:
            # The logarithm of what is left after each image's similarity to itself is taken away.
            watch.number = 1e6 if entry.id == "uniformity" else 0.0
            short = shortened(entry, epochs=1)
            if isinstance(training := short.constants.get("training"), Training):
                short = replace(short, constants={**short.constants, "training": replace(training, steps=3, passes=0)})
            catalogue.load(short).predict(task(digits, entry.id))


@pytest.mark.parametrize(("subject", "wide"), [("logistic regression", False), ("logistic regression, wide", True)])
def test_the_solver_of_logistic_regression_waits_only_for_its_decisions(subject: str, wide: bool) -> None:
    # Every number that is read is 1: the solver accepts each step and never finishes.
    with mock.patch.multiple(logistic, ROUND=3, WIDE_ROUND=3, MOST_ROUNDS=2), fake_cuda(subject) as watch:
        watch.number = 1.0
        features, labels = torch.zeros(1500, 20, device=CUDA), torch.zeros(1500, dtype=torch.int64, device=CUDA)
        solution = logistic.LogisticRegression(features, labels, 10, tolerance=1e-6, wide=wide).solve(0.1)
        assert solution.steps == 3 and solution.weight.device == CUDA
