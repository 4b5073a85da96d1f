"""How a run ends that went wrong, and what its record says about what was used."""

import math
import re
from dataclasses import replace

import pytest
import torch
from support.in_process import context_of, options_of, perform

from bench.data import load
from bench.errors import SslbenchError
from bench.execution.run import execute
from bench.execution.run_state import group_of
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.store import Store
from methods.autoencoder import Autoencoder
from methods.base import Encoder, Needs
from methods.simclr import SimCLR
from protocols.base import NotFinite, Predictions
from protocols.knn import Knn

RUN = {"method": "autoencoder", "budget": "1ep", "protocols": ("knn",)}


def measured(results, *protocols):
    """The record of an untrained encoder."""
    options = options_of(results)
    request = Request(methods=["random_init"], protocols=protocols, budget="smoke")
    (run,) = plan_runs(request, options).runs
    return execute(run, options.dataset.load(), context_of(options))


def guessed(task, **more):
    """Predictions that give every class the same probability."""
    return Predictions(scores=[torch.full((len(task.test_images), task.classes), -math.log(task.classes))], **more)


@pytest.mark.parametrize("bad", ["features", "predictions", "a loss"])
def test_whatever_becomes_non_finite_ends_as_diverged(tmp_path, monkeypatch, bad):
    def features(self, images):
        return (
            torch.full((len(images), 8), math.nan if bad == "features" else 1e30) * torch.arange(len(images))[:, None]
        )

    def predict(self, task):
        if bad == "a loss":
            raise NotFinite("the loss is not finite")
        return Predictions(scores=[torch.full((len(task.test_images), task.classes), -math.inf)])

    if bad == "features":
        monkeypatch.setattr(Encoder, "features", features)
    else:
        monkeypatch.setattr(Knn, "predict", predict)
    record = measured(tmp_path, "knn", "lowshot-1-frozen")
    assert record.status == "diverged", record.cause
    assert "finite" in record.cause
    assert ("lowshot-1-frozen" in record.protocols) == (bad != "features")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ({"metrics": {"mi\nne": 1.0}}, "metrics"),
        ({"choices": {"tensor": torch.zeros(2)}}, "not JSON serializable"),
        ({"train_accuracy": [97.0]}, "train_accuracy"),
    ],
)
def test_a_protocol_whose_results_cannot_be_recorded_fails_alone(tmp_path, monkeypatch, returned, reason):
    monkeypatch.setattr(Knn, "predict", lambda self, task: guessed(task, **returned))
    record = measured(tmp_path, "knn", "lowshot-1-frozen")
    assert record.status == "failed"
    assert record.cause.startswith("knn: ")
    assert re.search(reason, record.cause), record.cause
    assert list(Store(tmp_path).read(record.identity).protocols) == ["lowshot-1-frozen"]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (SystemExit(0), "SystemExit: 0 ("),
        (SslbenchError("the weights are missing; download them"), "the weights are missing; download them ("),
        (ValueError(), "ValueError without a message ("),
        (ValueError("x" * 100_000), "ValueError: xxx"),
        (ValueError("b\udcffd"), "ValueError: b\\udcffd"),
    ],
)
def test_an_error_is_one_line_of_its_run_s_record(tmp_path, monkeypatch, error, cause):
    def forward(self, batch, progress):
        raise error

    monkeypatch.setattr(Autoencoder, "forward", forward)
    with pytest.raises(AssertionError):
        perform(Store(tmp_path), **RUN)
    (record,), problems = Store(tmp_path).read_all()
    assert (record.status, problems) == ("failed", [])
    assert record.cause.startswith(cause)
    assert len(record.cause) <= 1000


def test_a_loss_with_a_part_that_cannot_be_recorded_fails_the_run(tmp_path, monkeypatch):
    forward = Autoencoder.forward

    def with_odd_part(self, batch, progress):
        loss = forward(self, batch, progress)
        return loss._replace(parts={"li\nne": loss.total})

    monkeypatch.setattr(Autoencoder, "forward", with_odd_part)
    with pytest.raises(AssertionError, match="cannot be recorded"):
        perform(Store(tmp_path), **RUN)
    (record,), problems = Store(tmp_path).read_all()
    assert (record.status, problems) == ("failed", [])


def test_a_record_says_what_was_used(tmp_path):
    store, digits = Store(tmp_path), load("digits")
    request = {"settings": ("recipe.rate=0.5", "temperature=0.3"), "batch_size": 64}
    record = perform(store, "simclr", budget="1ep", **request)
    assert record.group == "methods"
    assert (record.recipe["rate"], record.recipe["peak_rate"], record.recipe["batch"]) == (0.5, 0.125, 64)
    assert {"optimizer", "weight_decay", "warmup", "schedule"} <= record.recipe.keys()
    assert record.recipe["settings"]["temperature"] == 0.3
    facts = record.data
    assert (facts.train, facts.val, facts.test) == (len(digits.train_labels), len(digits.val), len(digits.test_labels))
    assert facts.unlabelled == 0
    assert store.read(record.identity) == record
    untrained = perform(store, "random_init", budget="smoke")
    assert (untrained.group, list(untrained.recipe)) == ("floor and ceiling", ["settings"])
    assert perform(store, "supervised", budget="1ep").group == "floor and ceiling"


def test_the_recorded_group_follows_what_a_method_declares_and_not_its_name(record):
    class SimCLRWithLabels(SimCLR):
        needs = Needs(labels=True)

    identity = replace(record.identity, budget="smoke")
    assert group_of(SimCLRWithLabels, replace(identity, method="simclr")) == "floor and ceiling"
    assert group_of(SimCLR, replace(identity, method="supervised")) == "methods"
