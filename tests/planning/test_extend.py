"""``--extend`` continues a finished run: with a constant learning rate it ends with the numbers of a long run."""

from dataclasses import replace

import pytest
from support.in_process import lines_of, perform, same, stopped

from bench.cli.doctor import examine
from bench.errors import SslbenchError
from bench.records.store import Store
from bench.training import optimizers

BATCH = 64
STEPS = 1438 // BATCH
PROTOCOLS = ("knn", "lowshot-1-frozen")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two results folders: one for runs of 10 epochs, one with a finished run of 5 epochs."""
    straight, continued = (Store(tmp_path_factory.mktemp(name)) for name in ("straight", "continued"))
    perform(continued, "vae", budget="5ep", batch_size=BATCH, protocols=PROTOCOLS)
    return straight, continued


@pytest.fixture(scope="module")
def straight(stores):
    # 220 steps: each point of the curve is the mean of two steps, but of one step in the run of 5 epochs.
    return perform(stores[0], "vae", budget="10ep", batch_size=BATCH, protocols=PROTOCOLS)


@pytest.fixture(scope="module")
def extended(stores):
    return perform(stores[1], "vae", budget="5ep", extend="10ep", batch_size=BATCH, protocols=PROTOCOLS)


def test_with_a_constant_rate_an_extended_run_equals_the_long_run_bit_for_bit(stores, straight, extended):
    assert same(stores[1], extended, stores[0], straight)
    assert len(straight.curve["step"]) == 10 * STEPS / 2


def test_an_extended_run_is_recorded_with_the_new_budget_and_a_changed_setting(stores, straight, extended):
    marked = {**straight.identity.settings, "extended_from": 5}
    assert extended.identity == replace(straight.identity, settings=marked)
    assert "extended_from=5" in str(stores[1].record_path(extended.identity))
    assert extended.cost.pretrain_s is not None
    (start, *_) = lines_of(stores[1].log_path(extended.identity))
    assert "extended_from=5" in start


@pytest.mark.slow
def test_an_extended_run_can_be_extended_again(stores, straight, tmp_path):
    store = Store(tmp_path)
    for budget, extend in (("3ep", None), ("3ep", "6ep"), ("6ep", "10ep")):
        last = perform(store, "vae", budget=budget, extend=extend, batch_size=BATCH, protocols=PROTOCOLS)
    assert last.identity.settings["extended_from"] == 6
    assert same(store, last, stores[0], straight)


@pytest.mark.slow
def test_an_extended_run_that_is_stopped_resumes_to_the_same_numbers(stores, straight, tmp_path):
    store = Store(tmp_path)
    perform(store, "vae", budget="5ep", batch_size=BATCH)
    for stop_at in (1, STEPS + 3):
        stopped(store, "vae", stop_at, budget="5ep", extend="10ep", batch_size=BATCH, protocols=PROTOCOLS)
    # From now on its own checkpoint is enough.
    for path in (tmp_path / "checkpoints").rglob("*.last.pt"):
        path.unlink()
    last = perform(store, "vae", budget="5ep", extend="10ep", batch_size=BATCH, protocols=PROTOCOLS)
    assert same(store, last, stores[0], straight)
    log = lines_of(store.log_path(last.identity))
    assert f"finished training of 5 epochs resumed after step {5 * STEPS} of {10 * STEPS}" in log
    assert f"checkpoint resumed after step {5 * STEPS + 1} of {10 * STEPS}" in log
    assert f"checkpoint resumed after step {6 * STEPS + 4} of {10 * STEPS}" in log


def test_an_extended_run_follows_the_cosine_schedule_of_the_new_length(tmp_path, monkeypatch):
    calls = []
    real_schedule = optimizers.schedule

    def schedule(optimizer, recipe, step, steps):
        calls.append((step, steps, real_schedule(optimizer, recipe, step, steps)))
        return calls[-1][-1]

    monkeypatch.setattr(optimizers, "schedule", schedule)
    store = Store(tmp_path)
    perform(store, "simclr", budget="2ep")
    before, calls[:] = list(calls), []
    record = perform(store, "simclr", budget="2ep", extend="4ep")
    assert [call[:2] for call in before] == [(step, 10) for step in range(10)]
    assert [call[:2] for call in calls] == [(step, 20) for step in range(10, 20)]
    assert calls[0][2] > before[-1][2]
    assert record.curve["step"] == list(range(1, 21))


def test_a_run_that_cannot_be_extended_is_a_one_line_error(stores, extended, tmp_path):
    store = stores[1]
    for options, message in (
        ({"budget": "7ep", "extend": "10ep"}, "no finished run of vae, seed 0 at 7ep"),
        ({"budget": "5ep", "extend": "10ep", "seeds": (1,)}, "no finished run of vae, seed 1 at 5ep"),
        ({"budget": "5ep", "extend": "10ep", "share": 0.9}, "no finished run of vae"),
        ({"budget": "5ep", "extend": "5ep"}, "--extend 5ep: has 5 epochs, not more than the 5 of --budget 5ep"),
        ({"budget": "5ep", "extend": "many"}, "unknown budget 'many'"),
    ):
        with pytest.raises(SslbenchError, match=message) as caught:
            perform(store, "vae", batch_size=BATCH, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(SslbenchError, match="method random_init is not trained here"):
        perform(store, "random_init", budget="5ep", extend="10ep")


@pytest.mark.slow
def test_two_finished_runs_of_the_same_length_are_an_error(tmp_path):
    store = Store(tmp_path)
    for budget, extend in (("1ep", None), ("2ep", None), ("1ep", "3ep"), ("2ep", "3ep")):
        perform(store, "autoencoder", budget=budget, extend=extend)
    with pytest.raises(
        SslbenchError,
        match=r"2 finished runs of autoencoder, seed 0 have reached 3ep; delete the unwanted one: \S+last\.pt or \S+last\.pt",
    ):
        perform(store, "autoencoder", budget="3ep", extend="4ep")
    perform(store, "autoencoder", budget="3ep")
    record = perform(store, "autoencoder", budget="3ep", extend="4ep")
    assert record.identity.settings == {"extended_from": 3}


@pytest.mark.slow
def test_the_command_line_extends_a_run_and_reports_a_missing_run(sslbench):
    run = ("run", "autoencoder", "--protocol", "knn", "--budget")
    done = sslbench(*run, "2ep", "--extend", "3ep")
    assert done.returncode == 2
    assert done.stderr.startswith("sslbench: --extend: no finished run of autoencoder, seed 0 at 2ep")
    assert len(done.stderr.splitlines()) == 1
    assert sslbench(*run, "2ep").returncode == 0
    done = sslbench(*run, "2ep", "--extend", "3ep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "extended_from=3" not in done.stdout
    assert "extended_from=2" in "".join(line.split()[0] for line in done.stdout.splitlines() if line.strip())


def test_doctor_reports_the_disk_space_of_last_checkpoints(stores):
    (finding,) = (item for item in examine(stores[1].root, None) if item.subject == "checkpoints")
    kept = list(stores[1].root.rglob("*.last.pt"))
    assert finding.text.startswith(f"{len(kept)} finished run")
    assert "--extend" in finding.text
