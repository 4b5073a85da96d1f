"""``--track``: a real run, killed and resumed, read back by each tracker's reader; a tracker that fails costs one warning."""

import os
import signal
from importlib.machinery import ModuleSpec

import pytest
from filelock import FileLock
from support.in_process import lines_of, perform
from support.killing import finish, start, wait_for_a_checkpoint
from support.wandb_file import history, run_of, summary

from bench.cli.program import run_program
from bench.errors import SslbenchError
from bench.records.store import Store
from bench.tracking import catalogue, tracking
from bench.tracking.tracker import TrackedRun, allowed, renamed
from bench.tracking.tracking import Tracking

METHODS = ("autoencoder", "simclr")
RUN = ("run", *METHODS, "--budget", "8ep", "--watch", "3", "--protocol", "knn", "--protocol", "rankme", "--jobs", "2")
NAMES = ("tensorboard", "wandb", "mlflow")
TRACK = tuple(argument for name in NAMES for argument in ("--track", name))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A results folder with two runs that were killed once, with all trackers."""
    results = tmp_path_factory.mktemp("tracked")
    process = start(results, *RUN, *TRACK, WANDB_MODE="offline")
    wait_for_a_checkpoint(process, results, 0.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "tracking" not in finish(results, *RUN, *TRACK, WANDB_MODE="offline")
    return results


def records_of(results):
    found, problems = Store(results).read_all()
    assert problems == []
    return {record.identity.method: record for record in found}


def curves_of(record):
    """What the trackers must hold: (step, value) of the figures that are also in the record."""
    found = {
        f"pretrain/{name}": list(zip(record.curve["step"], values, strict=True))
        for name, values in record.curve.items()
        if name != "step"
    }
    steps = record.watched["step"]
    return found | {f"watch/{name}": list(zip(steps, record.watched[name], strict=True)) for name in ("knn", "rankme")}


def scores_of(record):
    return {f"{name}/{key}": value for name, m in record.protocols.items() for key, value in m.metrics.items()}


def is_complete(found, record, steps):
    """Whether rates and speeds, which no record holds, were sent for (nearly) every step: those of a killed session may be lost."""
    return all(len({s for s, _ in found[f"pretrain/{name}"]}) >= 0.5 * steps for name in ("rate", "images_per_s"))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_tensorboard_reads_the_curves_of_a_killed_and_resumed_run(resumed, method):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = records_of(resumed)[method]
    folder = resumed / "tracking" / "tensorboard" / "digits" / "resnet9_slim" / "8ep" / method / "seed-0"
    events = EventAccumulator(str(folder))
    events.Reload()
    found = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    for name, points in curves_of(record).items():
        assert [step for step, _ in found[name]] == [step for step, _ in points], name
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in points])
    for name, value in scores_of(record).items():
        assert found[name] == [(40, pytest.approx(value))]
    assert is_complete(found, record, 40)
    (identity,) = events.Tensors("identity/text_summary")
    assert f'"method": "{method}"' in identity.tensor_proto.string_val[0].decode()


@pytest.mark.slow
def test_mlflow_has_one_run_for_each_run(resumed):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{resumed / 'tracking' / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sslbench")
    runs = {run.data.tags["sslbench.method"]: run for run in client.search_runs([experiment.experiment_id])}
    assert len(client.search_runs([experiment.experiment_id])) == len(METHODS)
    for method, record in records_of(resumed).items():
        run = runs[method]
        assert run.info.run_name == f"digits/resnet9_slim/8ep/{method}/seed-0"
        assert run.info.status == "FINISHED"
        assert run.data.tags["sslbench.fingerprint"] == record.identity.fingerprint
        found = {
            name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
        for name, points in curves_of(record).items():
            assert found[name] == points, name
        for name, value in scores_of(record).items():
            assert found[name] == [(40, value)]
        assert is_complete(found, record, 40)


@pytest.mark.slow
def test_wandb_has_one_id_for_each_run_and_no_step_twice(resumed):
    for method, record in records_of(resumed).items():
        sessions = [
            path
            for path in sorted((resumed / "tracking" / "wandb").glob("offline-run-*/*.wandb"))
            if run_of(path).display_name == f"digits/resnet9_slim/8ep/{method}/seed-0"
        ]
        assert len(sessions) == 2
        assert len({run_of(path).run_id for path in sessions}) == 1
        assert method in run_of(sessions[0]).tags
        rows = [row for path in sessions for row in history(path)]
        for name, points in curves_of(record).items():
            assert [(row["_step"], row[name]) for row in rows if name in row] == points, name
        assert scores_of(record).items() <= summary(sessions[-1]).items()
        assert summary(sessions[-1])["status"] == "ok"


def run_in(folder, **changed):
    return TrackedRun(**{"name": "a/seed-0", "digest": "d1", "tags": {"method": "a"}, "folder": folder, **changed})


def test_tensorboard_goes_on_after_the_step_of_the_checkpoint_and_a_repeated_run_begins_anew(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def steps():
        events = EventAccumulator(str(tmp_path / "tensorboard" / "a" / "seed-0"))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars("pretrain/loss")]

    def session(run, done, *points):
        tracker = catalogue.load("tensorboard")
        held = tracker.start(run, done)
        for step, value in points:
            tracker.log(step, {"pretrain/loss": value})
        tracker.end("ok", None)
        return held

    assert session(run_in(tmp_path), 0, (1, 1.0), (2, 2.0), (3, 3.0)) == {}
    assert session(run_in(tmp_path), 2, (3, 30.0)) == {"pretrain/loss": 2}
    assert steps() == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert session(run_in(tmp_path), None) == {"pretrain/loss": 3}
    assert session(run_in(tmp_path, digest="d2"), 0, (1, 5.0)) == {}
    assert steps() == [(1, 5.0)]
    assert session(run_in(tmp_path, digest="d2", repeated=True), 0, (1, 6.0)) == {}
    assert steps() == [(1, 6.0)]


def test_names_from_plugins_become_names_that_every_tracker_allows():
    assert renamed({"pretrain/a<b>\n(c)": 1.0, "watch/knn": 0.5}) == {"pretrain/a_b___c_": 1.0, "watch/knn": 0.5}
    assert len(allowed("x" * 1000)) == 250


def test_a_tracker_that_fails_costs_one_line_and_not_the_run(tmp_path):
    messages: list[str] = []
    store = Store(tmp_path)
    record = perform(store, "pixels", protocols=("knn", "rankme"), track=("missing",), on_message=messages.append)
    line = "tracking with missing stopped: ModuleNotFoundError: No module named 'bench.tracking.missing'; the run does not depend on it"
    assert messages == [f"pixels, seed 0: {line}"]
    assert line in lines_of(store.log_path(record.identity))


def test_a_tracker_that_dies_or_hangs_does_not_hold_up_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "END_SECONDS", 1)
    lines: list[str] = []
    (tmp_path / ".locks").mkdir()
    # Its process waits for the earlier session of the same run.
    with FileLock(tmp_path / ".locks" / "mlflow-d1.lock"):
        hanging = Tracking(["mlflow"], run_in(tmp_path), lines.append)
        hanging.start(0)
        for step in range(20_000):
            hanging.log(step, {f"pretrain/{number}": 1.0 for number in range(10)})
        hanging.end("ok", None)
        assert lines.pop().startswith("tracking with mlflow stopped: it has not ended within 1 s")
        dying = Tracking(["mlflow"], run_in(tmp_path), lines.append)
        dying.start(0)
        dying._channels[0]._process.kill()
        dying._channels[0]._process.join()
        for step in range(3):
            dying.log(step, {"pretrain/loss": 1.0})
        dying.end("ok", None)
    assert lines == ["tracking with mlflow stopped: its process died (exit code -9); the run does not depend on it"]


@pytest.mark.parametrize("found", [None, ModuleSpec("wandb", None)], ids=["nothing", "a folder that W&B wrote"])
def test_a_missing_library_is_one_line_before_any_run(found, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: found)
    code = run_program(["run", "pixels", "--track", "wandb", "--results", str(tmp_path / "results")])
    assert code == 2
    assert capsys.readouterr().err == "sslbench: --track wandb needs wandb: pip install 'sslbench[wandb]'\n"
    assert not (tmp_path / "results").exists()


def test_an_unknown_tracker_is_named():
    with pytest.raises(SslbenchError, match="unknown tracker 'tensorbord': did you mean 'tensorboard'"):
        catalogue.check(["tensorbord"])
