"""``--watch``: the figures are those of the development task, they survive a stop, and no result depends on them."""

import itertools
import json
from dataclasses import replace

import pytest
import torch
from support.in_process import context_of, options_of, perform, same, stopped
from support.watched_run import CPU, STEPS, byol, watched_run

from bench.cli.program import run_program
from bench.data import load
from bench.data.dataset import SealedLabels
from bench.data.development import development
from bench.device import cores
from bench.errors import Stopped
from bench.evaluation.evaluate import Evaluation
from bench.execution.encoder import build_method
from bench.execution.run import execute
from bench.execution.watching import Watching
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.checkpoints import load_checkpoint, save_checkpoint, stored_encoder
from bench.records.record_json import from_json, to_json
from bench.records.store import Store

RUN = byol("3ep")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    return watched_run(tmp_path_factory, RUN, watch=2, track=("tensorboard",))


def watching(dataset, identity, every=1, check_stop=lambda: None):
    return Watching(every, identity, dataset, CPU, None, check_stop)


def test_a_watched_and_tracked_run_has_the_results_of_another_bit_for_bit(watched, tmp_path):
    store, record = watched
    plain = Store(tmp_path)
    unwatched = perform(plain, **RUN)
    assert same(store, record, plain, unwatched)
    assert record.identity == unwatched.identity
    assert unwatched.watched == {}
    assert unwatched.cost.watch_s is None
    assert record.cost.watch_s > 0


def test_the_figures_at_the_end_are_those_of_the_development_task(watched, digits):
    store, record = watched
    assert record.watched["epoch"] == [2, 3]
    assert record.watched["step"] == [2 * STEPS, 3 * STEPS]
    tensors, _ = stored_encoder(store.encoder_path(record.identity), record.identity)
    encoder = build_method(record.identity, digits).encoder().eval()
    encoder.load_state_dict(tensors)
    evaluation = Evaluation(encoder, development(digits), "resnet9_slim", 0)
    for name, metric in (("knn", "top1"), ("rankme", "rankme")):
        assert record.watched[name][-1] == evaluation.measure(name).metrics[metric]
    assert 0.3 < record.watched["knn"][0] < 1


def test_on_the_development_task_the_last_figure_is_the_recorded_one(tmp_path):
    record = perform(Store(tmp_path), "autoencoder", budget="1ep", protocols=("knn", "rankme"), task="val", watch=1)
    assert record.watched["knn"] == [record.protocols["knn"].metrics["top1"]]
    assert record.watched["rankme"] == [record.protocols["rankme"].metrics["rankme"]]


def test_watching_reads_no_test_image_and_changes_neither_modes_nor_weights_nor_random_state(watched, digits):
    method = build_method(watched[1].identity, digits).train()
    for number, module in enumerate(method.modules()):
        module.training = number % 3 > 0
    modes = [module.training for module in method.modules()]
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    random_state = torch.get_rng_state()
    sealed = replace(digits, test_images=None, test_labels=SealedLabels(None))
    assert watching(sealed, watched[1].identity).take(method, 1, 0.5).keys() == {"knn", "rankme"}
    assert sealed.test_labels.openings == 0
    assert [module.training for module in method.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_tiny_val_is_watched_and_features_that_are_not_finite_are_not(watched, digits):
    few = torch.tensor([int((digits.train_labels == label).nonzero()[0]) for label in (0, 0, 1, 1, 2)])
    tiny = replace(
        digits, train_images=digits.train_images[few], train_labels=digits.train_labels[few], val=torch.tensor([1])
    )
    method = build_method(watched[1].identity, digits)
    assert watching(tiny, watched[1].identity).take(method, 1, 0.5)["knn"] in (0, 1)
    for parameter in method.parameters():
        parameter.data.fill_(torch.nan)
    assert watching(digits, watched[1].identity).take(method, 1, 0.5) == {}


def test_an_epoch_that_cannot_be_watched_costs_one_line(watched, digits, monkeypatch):
    def no_memory(self, name, already_measured=()):
        raise MemoryError("no room for features")

    monkeypatch.setattr(Evaluation, "measure", no_memory)
    lines: list[str] = []
    observer = Watching(1, watched[1].identity, digits, CPU, None, lambda: None, lines.append)
    assert observer.take(build_method(watched[1].identity, digits), 4, 0.5) == {}
    assert lines == ["byol, seed 0: epoch 4 is not watched: out of memory: no room for features"]


def test_a_run_that_is_stopped_also_while_it_watches_has_the_same_figures_when_it_goes_on(watched, tmp_path):
    store, record = watched
    other, identity = Store(tmp_path), record.identity
    stopped(other, stop_at=STEPS + 2, **RUN)
    path = other.checkpoint_path(identity)
    # A checkpoint of an earlier version holds nothing about watching.
    state = load_checkpoint(path, identity)
    save_checkpoint(path, identity, {key: value for key, value in state.items() if not key.startswith("watch")})
    options = options_of(tmp_path, watch=2)
    request = Request(methods=["byol"], budget=RUN["budget"], protocols=RUN["protocols"])
    (planned,) = plan_runs(request, options).runs
    calls = itertools.count()
    with pytest.raises(Stopped):
        # Asked once after each of two steps; the next time is within the watching of the second epoch.
        execute(planned, load("digits"), context_of(options, keep_going=lambda: next(calls) < 2))
    state = load_checkpoint(path, identity)
    assert state["watched"] == {}
    assert len(state["losses"]["loss"]) == 2 * STEPS
    resumed = perform(other, **RUN, watch=2)
    assert resumed.watched == record.watched
    assert same(store, record, other, resumed)


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="a device of a CPU is a core")
def test_two_devices_are_watched(watched, tmp_path):
    options = replace(options_of(tmp_path, watch=1), devices=2)
    (planned,) = plan_runs(Request(methods=["byol"], budget="1ep", protocols=("knn",)), options).runs
    record = execute(planned, load("digits"), context_of(options))
    assert record.status == "ok", record.cause
    assert record.watched["epoch"] == [1]
    assert record.watched["knn"][0] > 0.3


def test_a_record_that_was_written_without_watching_is_still_read(watched):
    record = watched[1]
    data = json.loads(to_json(record))
    del data["watched"], data["cost"]["watch_s"]
    assert from_json(json.dumps(data)) == replace(record, watched={}, cost=replace(record.cost, watch_s=None))


def test_a_recorded_run_is_not_repeated_and_one_line_says_so(tmp_path, capsys):
    arguments = ["run", "autoencoder", "--budget", "1ep", "--protocol", "knn", "--results", str(tmp_path)]
    store, messages = Store(tmp_path), []
    record = perform(store, "autoencoder", budget="1ep")
    more = ("knn", "lowshot-1-frozen")
    perform(store, "autoencoder", budget="1ep", protocols=more, watch=1, on_message=messages.append)
    assert messages == ["autoencoder, seed 0: already trained without --watch; use --force to train it again"]
    assert run_program([*arguments, "--watch", "1", "--track", "tensorboard"]) == 0
    printed = capsys.readouterr().out
    assert "autoencoder resnet9_slim seed 0: recorded without --watch; use --force to train it again" in printed
    assert "1 recorded run: not sent to the trackers; use --force to repeat" in printed
    assert store.read(record.identity).watched == {}
    assert not (tmp_path / "tracking").exists()
