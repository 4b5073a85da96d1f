"""A whole search on digits: what it runs, writes and shows, and that no test label is read before the winners are fixed."""

import json
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from support.in_process import options_of
from support.searching import REPEATED, TESTED, TRIALS, small, tuned

from bench.data.dataset import SealedLabels
from bench.errors import Diverged, SslbenchError
from bench.execution import encoder
from bench.leaderboard.read import Selection, leaderboard_of, read_records
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.record import Measurement, Record
from bench.records.store import Store
from bench.tuning import summary as summaries
from bench.tuning import trials
from bench.tuning.score import SCORED

METHODS = ("autoencoder", "rotation")
FOLDER = Path("tuning") / "digits-mlp-1ep"


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The results of a search, what it printed, and for each opening of test labels whether a summary with winners existed."""
    results = tmp_path_factory.mktemp("searched")
    opened = []
    summary = summaries.path_of(results / FOLDER, TRIALS)
    really = SealedLabels.open

    def opening(labels: SealedLabels):
        winners = [m.winner for m in summaries.read(summary).methods] if summary.exists() else []
        opened.append((labels.development, winners))
        return really(labels)

    out = StringIO()
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        patch.setattr(SealedLabels, "open", opening)
        assert tuned(results, *METHODS, console=Console(file=out, width=200)) == []
    return results, out.getvalue(), opened


def test_test_labels_are_read_only_after_all_winners_are_written(searched):
    _, _, opened = searched
    development, test = ([winners for kind, winners in opened if kind is of] for of in (True, False))
    assert development and test
    assert all(winners == [] for winners in development)
    assert all(len(winners) == len(METHODS) and None not in winners for winners in test)


def test_trial_0_is_the_run_of_the_shipped_recipe_on_the_development_task(searched):
    results, _, _ = searched
    request = Request(methods=METHODS, budget="1ep", backbone="mlp", protocols=SCORED)
    plan = plan_runs(request, options_of(results, task="val"))
    assert [run.reason for run in plan.runs] == ["recorded"] * len(METHODS)
    assert [run.identity.settings for run in plan.runs] == [{}] * len(METHODS)


def test_every_trial_is_a_recorded_run_with_settings(searched):
    results, _, _ = searched
    records, problems = read_records(results, "val")
    assert problems == []
    (first,) = [
        m for m in summaries.read(summaries.path_of(results / FOLDER, TRIALS)).methods if m.method == "rotation"
    ]
    found = [r.identity.settings for r in records if r.identity.method == "rotation" and r.identity.seed == 0]
    assert sorted(map(json.dumps, found)) == sorted(json.dumps(trial.settings) for trial in first.trials)
    assert len(found) == TRIALS and set(found[0]) | set(found[1]) == {
        "recipe.rate",
        "recipe.weight_decay",
        "recipe.warmup",
    }


def test_winners_stand_in_a_table_of_their_own(searched):
    results, _, _ = searched
    records, _ = read_records(results)
    shipped, tuned_table = leaderboard_of(records, Selection()).tables
    assert (shipped.tuned, tuned_table.tuned) == (None, TRIALS)
    for table in (shipped, tuned_table):
        assert {row.method for row in table.rows} == set(METHODS)
        assert {row.group for row in table.rows} == {"methods"}
        assert {row.seeds for row in table.rows} == {tuple(TESTED)}
    summary = summaries.read(summaries.path_of(results / FOLDER, TRIALS))
    for row in tuned_table.rows:
        (method,) = [m for m in summary.methods if m.method == row.method]
        assert row.settings == method.trials[method.winner].settings


def test_the_summary_has_curves_costs_and_the_order(searched):
    results, printed, _ = searched
    summary = summaries.read(summaries.path_of(results / FOLDER, TRIALS))
    for method in summary.methods:
        assert [entry.trials for entry in method.curve] == [1, TRIALS]
        assert method.curve[-1].low == method.curve[-1].high
        assert method.runs == TRIALS + 2 * (len(REPEATED) - 1) and method.seconds > 0
        assert {gain.column for gain in method.gains} == {"knn", "linear"}
    assert {order.column for order in summary.orders} == {"knn", "linear"}
    markdown = (results / FOLDER / f"trials-{TRIALS}.md").read_text()
    for order in summary.orders:
        assert order.sentence() in " ".join(printed.split())
        assert f"- {order.column}: the orders of 2 methods" in markdown
    assert "| 0 | shipped | ok |" in markdown


def test_a_second_command_repeats_nothing_and_says_the_same(searched, monkeypatch):
    results, _, _ = searched
    small(monkeypatch)
    before = {path: path.stat().st_mtime_ns for path in results.rglob("seed-*.json")}
    summary = summaries.path_of(results / FOLDER, TRIALS).read_text()
    assert tuned(results, *METHODS) == []
    assert {path: path.stat().st_mtime_ns for path in results.rglob("seed-*.json")} == before
    assert summaries.path_of(results / FOLDER, TRIALS).read_text() == summary


def test_a_trial_that_diverges_is_kept_counted_and_shown(tmp_path, monkeypatch):
    small(monkeypatch)
    train = encoder.pretrain

    def diverging(method, data, job, context):
        if job.identity.settings:
            raise Diverged("loss is not finite at step 3")
        return train(method, data, job, context)

    monkeypatch.setattr(encoder, "pretrain", diverging)
    out = StringIO()
    assert tuned(tmp_path, "rotation", console=Console(file=out, width=200)) == []
    (method,) = summaries.read(summaries.path_of(tmp_path / FOLDER, TRIALS)).methods
    assert method.failed == [1] and method.winner == 0
    assert method.trials[1].cause == "loss is not finite at step 3"
    # The second trial is a guess among ten classes: the expected best of one trial lies half-way.
    assert method.curve[0].mean == pytest.approx((method.curve[1].mean + 10) / 2)
    assert "rotation, trial 1" in out.getvalue() and "loss is not finite at step 3" in out.getvalue()
    (records, _) = read_records(tmp_path)
    assert {tuple(r.tuned) for r in records} == {(TRIALS,)} and all(r.identity.settings == {} for r in records)
    # The shipped recipe won its own search: it is in both tables.
    assert [table.tuned for table in leaderboard_of(records, Selection()).tables] == [None, TRIALS]


def test_a_dry_run_prints_spaces_and_trials_and_writes_nothing(tmp_path, monkeypatch):
    small(monkeypatch)
    out = StringIO()
    assert tuned(tmp_path / "new", *METHODS, dry_run=True, console=Console(file=out, width=200)) == []
    assert "recipe.warmup: 0 to 0.3 (shipped 0.1)" in out.getvalue()
    assert out.getvalue().count("trial 0: the shipped recipe") == 2
    assert "an estimate" in out.getvalue()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("methods", "count", "message"),
    [
        (("rotation",), 0, "--trials 0: must be from 1"),
        (("rotation", "pixels"), 2, "method pixels: is not trained here"),
        (("rotatoin",), 2, "did you mean 'rotation'"),
        (("timm:resnet18",), 2, "is not trained here"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_runs(tmp_path, methods, count, message):
    with pytest.raises(SslbenchError, match=message):
        tuned(tmp_path / "new", *methods, count=count)
    assert not (tmp_path / "new").exists()


def test_where_val_is_small_each_trial_is_measured_on_five_folds(tmp_path):
    request, options = Request(methods=["rotation"], budget="1ep", backbone="mlp"), options_of(tmp_path)
    parts = trials.parts_of(request, options, download=True)
    assert [part.shipped.runs[0].identity.dataset for part in parts] == [f"digits-fold-{n}" for n in range(1, 6)]
    assert {part.options.dataset.task for part in parts} == {"val"}
    assert sum(part.shipped.workload.test for part in parts) == len(options.dataset.load().train_images)
    # A trial is scored by its right answers in all folds together, and has failed if one fold has.
    (method,), _ = trials.trials_of(parts[0], TRIALS)
    identities = [trials.planned(part, [(method, 1, 0)])[0].identity for part in parts]
    assert len({Store(tmp_path).record_path(identity) for identity in identities}) == 5
    records = [
        Record(identity, "ok", protocols={name: Measurement(1, {"top1": k / 8}, images=8) for name in SCORED})
        for k, identity in enumerate(identities)
    ]
    assert trials.combined(records).accuracy == dict.fromkeys(SCORED, Fraction(10, 40))
    failed = trials.combined([*records[:4], Record(identities[4], "diverged", "loss is not finite")])
    assert failed.failed and (failed.status, failed.cause) == ("diverged", "loss is not finite")


def test_without_optuna_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(SslbenchError, match=r"sslbench tune needs optuna: pip install 'sslbench\[tune\]'"):
        tuned(tmp_path, "rotation")


def test_a_mark_stays_when_more_is_measured(searched, monkeypatch):
    from support.in_process import perform

    results, _, _ = searched
    (record, *_) = [r for r in read_records(results)[0] if r.tuned]
    settings = [f"{key}={value!r}" for key, value in record.identity.settings.items()]
    again = perform(
        Store(results), record.identity.method, protocols=("rankme",), budget="1ep", backbone="mlp", settings=settings
    )
    assert "rankme" in again.protocols and again.tuned == [TRIALS]
