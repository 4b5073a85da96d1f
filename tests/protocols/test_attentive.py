"""``attentive`` against torch's multi-head attention and mean pooling, on every kind of backbone, and where only one cell has the class."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from support.in_process import perform
from support.short_protocols import shortened
from torch import Tensor, nn

from bench.backbones import build
from bench.backbones.catalogue import CATALOGUE
from bench.data import load as load_data
from bench.pretrained.wrapped_backbone import Network
from bench.records.store import Store
from methods.base import Encoder, input_of
from protocols.attentive import Attentive, cells_of
from protocols.base import NotFinite, Task
from protocols.catalogue import load, resolve
from protocols.parts.attention import AttentiveClassifier
from protocols.parts.labelled import Standardisation

DIM, CLASSES = 12, 5


def attentive(**constants: object) -> Attentive:
    entry = shortened(resolve("attentive"))
    return load(replace(entry, constants={**entry.constants, **constants}))  # type: ignore[return-value]


def classifier(heads: int) -> tuple[AttentiveClassifier, Tensor]:
    """A classifier with random weights in float64, and cells of 7 images; channel 2 is constant."""
    generator = torch.Generator().manual_seed(0)
    cells = 3 + torch.randn(7, 9, DIM, generator=generator) * torch.arange(1.0, DIM + 1)
    cells[:, :, 2] = 1
    model = AttentiveClassifier(Standardisation.of(cells.flatten(0, 1)), heads, CLASSES, generator)
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=generator)
    return model.double(), cells.double()


def standardised(cells: Tensor) -> Tensor:
    mean, deviation = cells.mean(dim=(0, 1)), cells.std(dim=(0, 1), correction=0)
    return torch.where(deviation > 0, (cells - mean) / deviation.clamp_min(1e-9), 0.0)


@pytest.mark.parametrize("heads", [1, 3, 12])
def test_scores_and_gradients_are_those_of_multi_head_attention(heads: int) -> None:
    model, cells = classifier(heads)
    reference = nn.MultiheadAttention(DIM, heads, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        assert reference.in_proj_weight is not None
        reference.in_proj_weight.copy_(torch.cat([torch.eye(DIM, dtype=torch.float64), model.key, model.value]))
        reference.out_proj.weight.copy_(torch.eye(DIM))
    query = model.query.detach().clone().requires_grad_()
    inputs = standardised(cells)
    pooled, weights = reference(query.expand(len(cells), 1, DIM), inputs, inputs, average_attn_weights=False)
    expected = model.last(pooled[:, 0])
    scores = model(cells.clone())
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.weights(inputs).transpose(1, 2), weights[:, :, 0], rtol=1e-5, atol=1e-5)
    target = torch.arange(len(cells)) % CLASSES
    nn.functional.cross_entropy(scores, target).backward()
    nn.functional.cross_entropy(expected, target).backward()
    assert reference.in_proj_weight.grad is not None
    _, of_key, of_value = reference.in_proj_weight.grad.chunk(3)
    for found, wanted in ((model.key.grad, of_key), (model.value.grad, of_value), (model.query.grad, query.grad)):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_with_a_query_of_zero_it_is_a_linear_layer_on_the_mean_of_the_cells() -> None:
    model, cells = classifier(4)
    nn.init.zeros_(model.query)
    expected = model.last(standardised(cells).mean(dim=1) @ model.value.T)
    torch.testing.assert_close(model(cells.clone()), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("wanted", "heads"), [(1, 1), (5, 4), (8, 6), (100, 12)])
def test_the_number_of_heads_divides_the_channels(wanted: int, heads: int) -> None:
    assert classifier(wanted)[0].heads == heads


def marked_cells(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images of 4 × 4 cells: each shows a random class in one of 10 channels, and channel 10 marks the cell that shows the image's class."""
    shown = torch.randint(10, (count, 16), generator=generator)
    marked = torch.randint(16, (count,), generator=generator)
    images = torch.zeros(count, 11, 16, dtype=torch.uint8).scatter_(1, shown[:, None], 255)
    images[torch.arange(count), 10, marked] = 255
    return images.view(count, 11, 4, 4), shown[torch.arange(count), marked]


def test_it_finds_the_one_cell_that_carries_the_class_where_mean_pooling_cannot(pixels_task: Task) -> None:
    class Pixels(nn.Module):
        def feature_map(self, images: Tensor) -> Tensor:
            return images

    generator = torch.Generator().manual_seed(0)
    (train, labels), (test, test_labels) = (marked_cells(count, generator) for count in (2000, 500))
    train_features, test_features = (images.float().mean(dim=(2, 3)) / 255 for images in (train, test))
    task = replace(
        pixels_task,
        train_images=train,
        train_labels=labels,
        train_features=train_features,
        test_images=test,
        test_features=test_features,
        fit=torch.arange(1800),
        val=torch.arange(1800, 2000),
        encoder=Pixels,
        prepare=lambda images: images.float() / 255,
    )
    scores = {
        "attentive": load(resolve("attentive")).predict(task).scores[0],
        "linear": load(resolve("linear")).predict(task).scores[0],
    }
    right = {name: float((found.argmax(dim=1) == test_labels).double().mean()) for name, found in scores.items()}
    assert right["attentive"] > 0.95
    assert right["linear"] < 0.35


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_mean_of_the_cells_is_the_feature_of_every_backbone(name: str, pixels_task: Task) -> None:
    data = load_data("digits")
    torch.manual_seed(0)
    backbone = build(name, data.traits)
    encoder = Encoder(backbone, input_of(data.traits)).eval()
    task = replace(pixels_task, encoder=lambda: encoder)
    images = task.train_images[:3]
    if backbone.kind == "mlp":
        with pytest.raises(ValueError, match="this encoder has none; use linear instead"):
            cells_of(images, task)
        return
    with torch.no_grad():
        features = backbone.features(task.prepare(images), "patches" if backbone.kind == "transformer" else "average")
    cells = cells_of(images, task)
    assert cells.shape[1] > 1
    torch.testing.assert_close(cells.mean(dim=1), features)


def test_a_network_from_elsewhere_without_a_map_and_an_encoder_without_a_network_are_refused(
    pixels_task: Task,
) -> None:
    data = load_data("digits")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
    encoder = Encoder(Network(flat, (1, 8, 8), "flat"), input_of(data.traits)).eval()
    for task in (pixels_task, replace(pixels_task, encoder=lambda: encoder)):
        with pytest.raises(ValueError, match="this encoder has none; use linear instead") as caught:
            attentive().predict(task)
        assert "\n" not in str(caught.value)


def test_it_learns_is_deterministic_for_a_seed_and_leaves_the_network_unchanged(
    make_task: Callable[..., Task], test_labels: Tensor
) -> None:
    first, second, other = (attentive(steps=200).predict(make_task(network=True, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first.scores[0], second.scores[0]) and first.curves == second.curves
    assert not torch.equal(first.scores[0], other.scores[0])
    torch.testing.assert_close(first.scores[0].exp().sum(dim=1), torch.ones(len(test_labels)))
    accuracy = float((first.scores[0].argmax(dim=1) == test_labels).double().mean())
    assert accuracy > 0.3 and first.train_accuracy[0] > 0.3, "three times chance"
    assert first.curves["loss"][-1] < first.curves["loss"][0]
    assert first.choices == {"heads": resolve("attentive").constants["heads"], "steps": 200, "cells": 16}


def test_predicting_during_training_changes_nothing(make_task: Callable[..., Task]) -> None:
    task = make_task(network=True, images=400)
    plain, watched = attentive().predict(task), attentive().predict(replace(task, watch=True))
    assert plain.trail == [] and torch.equal(plain.scores[0], watched.scores[0]) and plain.curves == watched.curves
    assert [step for step, _ in watched.trail] == list(range(21))
    assert torch.equal(watched.trail[-1][1], watched.scores[0].argmax(dim=1))


def test_a_learning_rate_that_diverges_and_a_protocol_without_steps_are_errors_of_one_line(network_task: Task) -> None:
    with pytest.raises(NotFinite, match="attentive diverged"):
        attentive(rate=1e30).predict(network_task)
    with pytest.raises(ValueError, match="nothing would be trained"):
        attentive(steps=0, epochs=0)


def test_a_run_records_an_answer_for_every_test_image_and_several_seeds(tmp_path) -> None:
    name, store = "attentive@epochs=0,steps=20", Store(tmp_path)
    records = [
        perform(store, "random_init", budget="smoke", protocols=["knn", name], seeds=[seed], backbone="vit_nano")
        for seed in (0, 1)
    ]
    found = [record.protocols[name] for record in records]
    assert [measurement.images for measurement in found] == [359, 359]
    assert found[0].metrics["top1"] != found[1].metrics["top1"]
    assert all(
        len(measurement.correct) == len(record.protocols["knn"].correct) == 1
        for measurement, record in zip(found, records, strict=True)
    )
