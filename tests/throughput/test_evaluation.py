"""Evaluation of one frozen encoder on FashionMNIST by sslbench, lightly's two classifiers and scikit-learn's solver."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightly.utils.benchmarking import KNNClassifier, LinearClassifier
from sklearn.linear_model import LogisticRegression
from support.in_process import options_of, wanted_runs
from support.starting import real_images
from throughput.conftest import BATCH
from throughput.lightly_loop import trainer
from throughput.measuring import measure
from throughput.pipelines import PilImages
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset
from torchvision.transforms import v2

from bench import seeds
from bench.device import cores
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.features import calibrate_batch_norm, extract
from bench.execution.encoder import build_method
from bench.planning.request import Request
from bench.views.prepare import prepare
from protocols.parts.labelled import Standardisation
from protocols.parts.logistic import LogisticRegression as OurLogisticRegression

WHAT = "FashionMNIST, frozen resnet9_slim, 70,000 images"
GROUP = "evaluation: knn and linear"
PARTS = "evaluation: one protocol each, features at hand"
LIGHTLY_EPOCHS = 90
"""Epochs of ``LinearClassifier`` in lightly's benchmarks."""


@pytest.fixture(scope="module")
def encoder(fashion, device):
    """An untrained encoder with calibrated batch norm; it costs as much as a trained one."""
    options = options_of(Path("results"), "fashion_mnist", data_root=real_images())
    identity = wanted_runs(Request(("random_init",), protocols=("knn",)), options)[0].identity
    seeds.seed_everything(0, "init")
    made = build_method(identity, fashion).encoder().to(device).eval()
    calibrate_batch_norm(made, fashion.train_images, lambda x: prepare(x, made.input, device))
    return made


@pytest.fixture(scope="module")
def evaluation(encoder, fashion):
    """An evaluation whose features are already extracted."""
    made = Evaluation(encoder, fashion, "resnet9_slim", 0)
    _ = made.features
    return made


class Network(nn.Module):
    """Wraps an encoder for lightly's classifiers, which call it like a module."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images):
        return self.encoder.features(images)


class Labelled(Dataset[Any]):
    """Images one by one with their labels, converted to tensors and normalised as the test images of lightly's benchmarks."""

    def __init__(self, images, labels, traits):
        steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(traits.mean, traits.std)]
        self.images, self.labels = PilImages(images, v2.Compose(steps)), labels.tolist()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index][0], self.labels[index]


def _loader(images, labels, traits, **options):
    return DataLoader(Labelled(images, labels, traits), batch_size=BATCH, num_workers=cores(), **options)


@pytest.fixture(scope="module")
def loaders(fashion):
    """DataLoaders of train and test images for lightly's classifiers."""
    train = _loader(fashion.train_images, fashion.train_labels, fashion.traits, shuffle=True, drop_last=True)
    test = _loader(fashion.test_images, fashion.test_labels.open(), fashion.traits)
    return train, test


def measure_once(benchmark, group, engine, work, images, device, **facts):
    """Time work that takes many seconds in a single round."""
    measure(benchmark, group, WHAT, engine, work, images=images, rounds=1, warmup=0, device=device, **facts)


def without_warnings(work):
    """Call a function and ignore Lightning's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work()


def test_sslbench(benchmark, encoder, fashion, device):
    scores = {}

    def work():
        made = Evaluation(encoder, fashion, "resnet9_slim", 0)
        scores.update({name: 100 * made.measure(name).metrics["top1"] for name in ("knn", "linear")})

    measure_once(benchmark, GROUP, "sslbench", work, len(fashion.train_images), device)
    benchmark.extra_info.update(top1=scores)


def test_lightly_knn(benchmark, encoder, fashion, loaders, device):
    train = _loader(fashion.train_images, fashion.train_labels, fashion.traits)
    model = KNNClassifier(Network(encoder), 10, knn_k=20, knn_t=0.07, train_dataloader_idx=0, val_dataloader_idx=1)
    found = {}

    def work():
        runner = trainer("32-true")
        found.update(runner.validate(model, [train, loaders[1]], verbose=False)[-1])

    without_warnings(
        lambda: measure_once(benchmark, GROUP, "lightly KNNClassifier", work, len(fashion.train_images), device)
    )
    benchmark.extra_info.update(top1={"knn": _percent(found, "val_knn_top1")})


def test_lightly_linear_one_epoch(benchmark, encoder, fashion, loaders, device):
    model = LinearClassifier(Network(encoder), BATCH, feature_dim=encoder.dim, num_classes=10)
    runner = trainer("32-true", max_epochs=1)
    without_warnings(
        lambda: measure_once(
            benchmark,
            GROUP,
            "lightly LinearClassifier",
            lambda: runner.fit(model, *loaders),
            len(fashion.train_images),
            device,
            times=LIGHTLY_EPOCHS,
        )
    )


def test_lightly_linear_on_stored_features(benchmark, evaluation, fashion, device):
    """Accuracy of lightly's 90 epochs: the encoder is frozen and images are not augmented, so stored features give the same."""
    train = TensorDataset(evaluation.features[0], fashion.train_labels)
    test = TensorDataset(evaluation.features[1], fashion.test_labels.open())
    order = RandomSampler(train)
    loaders = (
        DataLoader(train, sampler=BatchSampler(order, BATCH, drop_last=True), batch_size=None),
        DataLoader(test, batch_size=2000),
    )
    model = LinearClassifier(nn.Identity(), BATCH, feature_dim=evaluation.features[0].shape[1], num_classes=10)
    runner = trainer("32-true", max_epochs=LIGHTLY_EPOCHS, check_val_every_n_epoch=LIGHTLY_EPOCHS)
    without_warnings(
        lambda: measure_once(
            benchmark,
            GROUP,
            "lightly LinearClassifier on stored features",
            lambda: runner.fit(model, *loaders),
            len(fashion.train_images),
            device,
        )
    )
    benchmark.extra_info.update(top1={"linear": _percent(runner.callback_metrics, "val_top1")})


def _percent(metrics, name):
    (value,) = [float(figure) for key, figure in metrics.items() if key.startswith(name)]
    return 100 * value


@pytest.mark.parametrize("name", ["knn", "linear", "lowshot-1pct-frozen", "lowshot-1pct"])
def test_one_protocol(benchmark, evaluation, fashion, device, name):
    measure_once(benchmark, PARTS, name, lambda: evaluation.measure(name), len(fashion.train_images), device)


def test_features(benchmark, encoder, fashion, device):
    images = fashion.test_images
    work = lambda: extract(encoder, images, lambda x: prepare(x, encoder.input, device))  # noqa: E731
    measure(
        benchmark, "features", "FashionMNIST", "sslbench", work, images=len(images), rounds=3, warmup=1, device=device
    )


def test_features_by_a_data_loader(benchmark, encoder, fashion, loaders, device):
    @torch.no_grad()
    def work():
        return torch.cat([encoder.features(images.to(device)) for images, _ in loaders[1]])

    count = len(fashion.test_images)
    measure(benchmark, "features", "FashionMNIST", "data loader", work, images=count, rounds=3, warmup=1, device=device)


@pytest.mark.parametrize("engine", ["sslbench", "scikit-learn"])
def test_one_penalty(benchmark, evaluation, fashion, device, engine):
    penalty, labels = 1e-3, fashion.train_labels
    inputs = Standardisation.of(evaluation.features[0])(evaluation.features[0])

    def theirs():
        model = LogisticRegression(C=1 / (penalty * len(inputs)), tol=1e-6, max_iter=10_000)
        return model.fit(inputs.cpu().numpy(), labels.numpy())

    work = (
        theirs
        if engine == "scikit-learn"
        else lambda: OurLogisticRegression(inputs, labels, 10, tolerance=1e-6).solve(penalty)
    )
    measure_once(benchmark, "logistic regression, one penalty, gradient to 1e-6", engine, work, len(inputs), device)
