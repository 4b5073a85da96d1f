"""Fine-tuning on a few labels: its start, the parameters that it trains, and that it learns and is deterministic."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from protocols.base import Task
from protocols.catalogue import load, resolve
from protocols.lowshot import Lowshot
from protocols.parts.chunks import images_at_once
from protocols.parts.finetune import augmented_batches, log_probabilities, order, train
from protocols.parts.heads import moments


def lowshot(id: str, **constants: object) -> Lowshot:
    entry = resolve(id)
    return load(replace(entry, constants={**entry.constants, **constants}))  # type: ignore[return-value]


def accuracy(scores: Tensor, labels: Tensor) -> float:
    return float((scores.argmax(dim=1) == labels).double().mean())


def started(protocol: Lowshot, task: Task, draw: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    indices = task.label_set(protocol.labels, draw)
    targets = task.train_labels[indices]
    return protocol.classifier(task, indices, targets, task.generator("test")), indices, targets


def statistics(model: nn.Module) -> list[Tensor]:
    return [buffer.clone() for name, buffer in model.named_buffers() if "running" in name]


@pytest.mark.parametrize("labels", ["1", "10pct"])
def test_the_probe_start_predicts_the_same_as_the_frozen_regression(labels: str, network_task: Task) -> None:
    model, _, _ = started(lowshot(f"lowshot-{labels}", start="probe"), network_task)
    frozen = load(resolve(f"lowshot-{labels}-frozen")).predict(network_task).scores[0]
    torch.testing.assert_close(
        log_probabilities(model, network_task.test_images, network_task), frozen, atol=1e-3, rtol=0
    )


def test_a_head_from_zero_gives_every_class_the_same_probability(network_task: Task) -> None:
    for id in ("lowshot-1", "lowshot-1-mlp", "lowshot-1-conv"):
        model, _, _ = started(lowshot(id, start="zero"), network_task)
        scores = log_probabilities(model, network_task.test_images, network_task).exp()
        torch.testing.assert_close(scores, torch.full_like(scores, 0.1))


@pytest.mark.parametrize(
    ("id", "statistics_change", "encoder_changes"),
    [
        ("lowshot-5", False, True),
        ("lowshot-5-conv", False, True),
        ("lowshot-5-frozen-mlp", False, False),
        ("lowshot-5-frozen-conv", False, False),
        ("scratch-5", True, True),
    ],
)
def test_training_changes_only_what_the_protocol_trains(
    id: str, statistics_change: bool, encoder_changes: bool, network_task: Task
) -> None:
    protocol = lowshot(id)
    model, indices, targets = started(protocol, network_task)
    encoder = model.encoder
    assert isinstance(encoder, nn.Module)
    before, weights = statistics(model), [p.detach().clone() for p in encoder.parameters()]
    head = [p.detach().clone() for p in model.head.parameters()]
    images = network_task.train_images[indices]
    train(model, images, targets, protocol.training, network_task, network_task.generator("test"))
    log_probabilities(model, network_task.test_images, network_task)
    changed = [not torch.equal(a, b) for a, b in zip(before, statistics(model), strict=True)]
    assert all(changed) if statistics_change else not any(changed)
    changed = [not torch.equal(a, b) for a, b in zip(weights, encoder.parameters(), strict=True)]
    assert all(changed) if encoder_changes else not any(changed)
    assert all(not torch.equal(a, b) for a, b in zip(head, model.head.parameters(), strict=True))


def test_scratch_starts_from_other_weights_than_the_pretrained_network(network_task: Task) -> None:
    pretrained, _, _ = started(lowshot("lowshot-1"), network_task)
    scratch, _, _ = started(lowshot("scratch-1"), network_task)
    pairs = zip(pretrained.encoder.parameters(), scratch.encoder.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("id", ["lowshot-10pct", "lowshot-10pct-mlp", "lowshot-10pct-conv", "scratch-10pct"])
def test_ten_percent_of_the_labels_classify_digits(id: str, network_task: Task, test_labels: Tensor) -> None:
    found = lowshot(id, draws=2).predict(network_task)
    assert len(found.scores) == len(found.train_accuracy) == 2
    assert min(accuracy(scores, test_labels) for scores in found.scores) > 0.3, "three times chance"
    assert min(found.train_accuracy) > 0.3
    assert found.curves["loss"][-1] < found.curves["loss"][0]
    assert len(found.curves["loss"]) == len(found.curves["accuracy"]) <= 50


@pytest.mark.parametrize("id", ["lowshot-1", "lowshot-1-frozen-conv", "scratch-1", "pseudolabel-1"])
def test_two_predictions_of_one_task_are_equal(id: str, make_task: Callable[..., Task]) -> None:
    first, second = (lowshot(id, draws=2).predict(make_task(network=True)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.scores, second.scores, strict=True))
    assert first.curves == second.curves
    assert not torch.equal(first.scores[0], first.scores[1])


def test_scores_are_log_probabilities_of_every_draw(network_task: Task) -> None:
    found = load(resolve("lowshot-1-frozen")).predict(network_task)
    assert len(found.scores) == 10
    assert found.choices["not_converged"] == []
    for scores in found.scores:
        torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(len(scores)))


def test_every_image_is_used_once_before_any_is_used_again() -> None:
    indices = order(7, 30, torch.Generator().manual_seed(0))
    assert len(indices) == 30
    for start in range(0, 28, 7):
        assert sorted(indices[start : start + 7].tolist()) == list(range(7))


def test_large_images_are_processed_in_smaller_batches(network_task: Task) -> None:
    sizes: list[int] = []

    def enlarged(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return network_task.prepare(images).repeat_interleave(32, dim=2).repeat_interleave(32, dim=3)

    # 256 x 256 pixels are 64 times those of 32 x 32.
    task, images = replace(network_task, prepare=enlarged), network_task.train_images
    assert images_at_once(2048, images, network_task) == 2048
    assert images_at_once(2048, images, task) == 32
    assert images_at_once(10, images, task) == 1
    batches = list(augmented_batches(images, 8, 16, "shift", task, task.generator("test")))
    assert [len(views) for views, _ in batches] == [16] * 8
    assert max(sizes) == 32
    sizes.clear()

    class Flat(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :10]

    expected = network_task.prepare(images).flatten(1)[:, :1].expand(-1, 10).log_softmax(dim=1)
    torch.testing.assert_close(log_probabilities(Flat(), images, task), expected)  # type: ignore[arg-type]
    assert max(sizes) == 8


def test_moments_do_not_depend_on_the_batches() -> None:
    maps = 5 + 2 * torch.randn(30, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mean, squares, count = moments(list(maps.split(7)))
    assert count == 30 * 16
    torch.testing.assert_close(mean, maps.double().mean(dim=(0, 2, 3)))
    torch.testing.assert_close(squares / (count - 1), maps.double().var(dim=(0, 2, 3)))


def test_the_number_of_steps_is_the_larger_of_the_minimum_and_ten_passes() -> None:
    training = resolve("lowshot-1").constants["training"]
    assert training.steps <= 200
    assert training.batch <= 128
    assert training.steps_over(10) == training.steps
    steps = training.steps_over(5000)
    assert (steps - 1) * training.batch < 10 * 5000 <= steps * training.batch


@pytest.mark.parametrize("id", ["lowshot-1", "scratch-1", "lowshot-1-frozen-mlp", "pseudolabel-1", "linear-sgd"])
def test_an_encoder_without_a_network_is_refused(id: str, without_network: Task) -> None:
    with pytest.raises(ValueError, match="this encoder has none"):
        load(resolve(id)).predict(without_network)


@pytest.mark.parametrize("id", ["lowshot-1", "lowshot-1-frozen", "pseudolabel-1"])
def test_a_class_without_labels_is_named_with_its_label_set(id: str, make_task: Callable[..., Task]) -> None:
    task = make_task(network=True)
    nine = replace(task, label_set=lambda amount, draw: (task.train_labels < 9).nonzero()[:90, 0])
    with pytest.raises(ValueError, match="label set 1, draw 0: class 9 has no labelled image"):
        load(resolve(id)).predict(nine)


def test_a_conv_head_needs_a_feature_map(network_task: Task) -> None:
    assert network_task.encoder is not None

    def flat() -> nn.Module:
        encoder = network_task.encoder()  # type: ignore[misc]
        encoder.feature_map = lambda images: None
        return encoder

    with pytest.raises(ValueError, match="needs a feature map"):
        load(resolve("lowshot-1-conv")).predict(replace(network_task, encoder=flat))


def test_a_learning_rate_that_diverges_is_a_one_line_error(network_task: Task) -> None:
    training = replace(resolve("lowshot-1").constants["training"], trunk_rate=1e12, head_rate=1e12)
    with pytest.raises(ValueError, match="diverged"):
        lowshot("lowshot-1", training=training).predict(network_task)


def test_linear_sgd_learns_and_does_not_change_the_backbone(
    make_task: Callable[..., Task], test_labels: Tensor
) -> None:
    encoders = []
    task = make_task(network=True)

    def kept_encoder() -> nn.Module:
        assert task.encoder is not None
        encoders.append(task.encoder())
        return encoders[-1]

    found = load(resolve("linear-sgd")).predict(replace(task, encoder=kept_encoder))
    assert task.encoder is not None
    before, after = task.encoder().state_dict(), encoders[0].state_dict()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name
    assert accuracy(found.scores[0], test_labels) > 0.25
