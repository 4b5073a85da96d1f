"""``Evaluation``: test labels stay sealed, collapse is detected, and the encoder is not changed."""

import pytest
import torch

from bench import seeds
from bench.data import load
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.features import calibrate_batch_norm, extract
from bench.execution.encoder import build_method
from bench.records.record import Identity
from bench.views.prepare import prepare
from protocols import catalogue
from protocols.base import EvaluationProtocol, Predictions, Task
from protocols.catalogue import DEFAULT


def evaluation_of(dataset, method="random_init"):
    seeds.seed_everything(0, "init")
    identity = Identity("digits", dataset.fingerprint, "test", method, 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
    encoder = build_method(identity, dataset).encoder().eval()
    calibrate_batch_norm(encoder, dataset.train_images, lambda x: prepare(x, encoder.input, torch.device("cpu")))
    return Evaluation(encoder, dataset, "resnet9_slim", 0)


@pytest.fixture
def digits():
    return load("digits")


def test_a_task_holds_no_test_labels(digits):
    assert not [name for name in Task.__dataclass_fields__ if "test" in name and "label" in name]
    task = evaluation_of(digits).task("knn")
    assert digits.test_labels not in [getattr(task, name) for name in Task.__dataclass_fields__]


@pytest.mark.slow
def test_the_test_labels_are_opened_once_per_protocol(digits):
    evaluation = evaluation_of(digits)
    evaluation.collapse()
    assert digits.test_labels.openings == 0
    for number, name in enumerate([*DEFAULT[:3], *DEFAULT[4:7]], 1):
        evaluation.measure(name)
        assert digits.test_labels.openings == number, name


def test_the_development_task_never_opens_the_test_labels(digits):
    from bench.data.development import development

    task = development(digits)
    evaluation_of(task).measure("linear")
    assert (task.test_labels.openings, digits.test_labels.openings) == (1, 0)
    assert len(task.test_images) == len(digits.val)
    assert len(task.train_images) == len(digits.fit)


@pytest.mark.parametrize("method", ["pixels", "random_init"])
def test_baselines_on_digits_have_not_collapsed(digits, method):
    assert evaluation_of(digits, method).collapse() is None


@pytest.mark.parametrize("rank", [0, 1])
def test_an_encoder_that_maps_all_images_to_a_point_or_a_line_has_collapsed(digits, rank):
    evaluation = evaluation_of(digits)
    direction = torch.linspace(1, 2, evaluation.encoder.dim)
    original_features = evaluation.encoder.features
    evaluation.encoder.features = lambda images: (
        direction * original_features(images)[:, :1] if rank else direction.expand(len(images), -1)
    )
    assert "rankme 1" in evaluation.collapse()


def test_equal_label_sets_are_measured_once(digits):
    evaluation = evaluation_of(digits)
    repeated = evaluation.measure("lowshot-1pct-frozen", already_measured=("knn", "lowshot-1", "lowshot-1-frozen"))
    assert repeated.same_as == "lowshot-1-frozen"
    assert evaluation.measure("lowshot-10pct-frozen", already_measured=("lowshot-1-frozen",)).same_as is None


@pytest.mark.slow
def test_measuring_twice_gives_the_same_result_and_does_not_change_the_encoder(digits):
    evaluation = evaluation_of(digits)
    before = {name: tensor.clone() for name, tensor in evaluation.encoder.state_dict().items()}
    first, second = evaluation.measure("lowshot-2"), evaluation.measure("lowshot-2")
    assert first.correct == second.correct
    assert first.metrics == second.metrics
    for name, tensor in evaluation.encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_pixels_have_no_network_and_their_features_are_the_normalised_pixels(digits):
    seeds.seed_everything(0, "init")
    identity = Identity("digits", "f", "test", "pixels", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
    encoder = build_method(identity, digits).encoder().eval()
    evaluation = Evaluation(encoder, digits, "resnet9_slim", 0)
    assert evaluation.task("knn").encoder is None
    images = digits.train_images[:7]
    features = extract(encoder, images, lambda x: prepare(x, encoder.input, torch.device("cpu")))
    (mean,), (std,) = digits.traits.mean, digits.traits.std
    assert torch.allclose(features, ((images / 255 - mean) / std).flatten(1), atol=1e-5)


def test_batch_norm_statistics_of_an_untrained_network_are_those_of_all_train_images(digits):
    encoder = evaluation_of(digits).encoder
    first = next(m for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
    convolution = next(m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d))
    maps = convolution(prepare(digits.train_images, encoder.input, torch.device("cpu")))
    assert torch.allclose(first.running_mean, maps.mean((0, 2, 3)), atol=1e-3)
    assert torch.allclose(first.running_var, maps.var((0, 2, 3)), rtol=0.02)


@pytest.mark.parametrize(
    ("answer", "label_free", "message"),
    [
        ({"scores": []}, False, "returns a dict; return Predictions"),
        (Predictions(metrics={"mine": 1.0}), False, "returns no scores; return them, or declare label_free=True"),
        (Predictions(), True, "is label-free and returns no metrics"),
    ],
)
def test_a_protocol_that_returns_nothing_to_compare_is_named(digits, monkeypatch, answer, label_free, message):
    class Mine(EvaluationProtocol):
        def predict(self, task):
            return answer

    monkeypatch.setitem(
        catalogue.ENTRIES, "mine", catalogue.Entry("mine", 1, "mine", "me", "mine", label_free=label_free)
    )
    monkeypatch.setattr(catalogue, "load", lambda entry: Mine())
    with pytest.raises(ValueError, match=f"protocol 'mine'.*{message}"):
        evaluation_of(digits).measure("mine")


def test_a_measurement_holds_the_share_of_the_largest_class(digits):
    labels = digits.test_labels.open()
    measured = evaluation_of(digits).measure("knn")
    assert measured.largest_class == labels.bincount().max().item() / len(labels)
    assert evaluation_of(digits).measure("rankme").largest_class is None
