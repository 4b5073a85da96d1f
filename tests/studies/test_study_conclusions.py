"""The conclusion of a study follows from its records: the finding holds, does not hold, or neither can be shown."""

import base64
from dataclasses import replace

import numpy as np
import pytest

from bench.leaderboard.significance import unpaired
from bench.records.digest import digest
from bench.records.record import Identity, Measurement, Record
from bench.studies.load import read
from bench.studies.results import BestEpoch, SearchResult, StudyResults, SystemResult
from bench.studies.study import PublishedScore, Search
from bench.studies.table import build_report

FILE = """
title = "T"
source = ""
published = "P."
differs = []
dataset = "digits"
backbone = "mlp"
budget = "2ep"
seeds = 2

[[system]]
id = "new"
name = "the new one"
method = "autoencoder"
protocol = "lowshot-1pct-frozen"
published = { top1 = 87.15 }

[[system]]
id = "old"
name = "the old one"
method = "autoencoder"
protocol = "scratch-1pct"

[[comparison]]
first = "new"
second = "old"
finding = "new beats old"
published = 5.7

[[comparison]]
first = "new"
second = "old"
metric = "top5"
"""


def records(
    ability: float, protocol: str, random_seed: int, sets: str = "same", images: int = 400, status: str = "ok"
) -> list[Record]:
    """Return records of two seeds whose answer to each image is right with a probability of about ``ability``."""
    found = []
    difficulty = np.random.default_rng(0).normal(0, 0.1, images)
    for seed in (0, 1):
        chance = np.random.default_rng([random_seed, seed])
        right = chance.random((5, images)) < ability + difficulty
        draws = [{"top1": float(d.mean()), "top5": min(1.0, float(d.mean()) + 0.2)} for d in right]
        measured = Measurement(
            version=1,
            metrics={name: float(np.mean([d[name] for d in draws])) for name in ("top1", "top5")},
            draws=draws,
            correct=[base64.b64encode(np.packbits(d).tobytes()).decode() for d in right],
            images=images,
            label_sets=sets,
        )
        identity = Identity("digits", "f", "test", "autoencoder", 1, "mlp", 1, 1, "2ep", 2, 256, seed)
        curve = {"step": [1, 2], "loss": [2.0, 1.0]}
        found.append(
            Record(
                identity, status, "loss became nan" if status != "ok" else None, {protocol: measured}, curve, classes=10
            )
        )
    return found


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "made-up.toml"
    path.write_text(FILE)
    return read(path)


def study_results(new: float, old: float, sets: str = "same") -> StudyResults:
    return StudyResults(
        {
            "new": SystemResult("lowshot-1pct-frozen", records(new, "lowshot-1pct-frozen", 1)),
            "old": SystemResult("scratch-1pct", records(old, "scratch-1pct", 2, sets)),
        }
    )


@pytest.mark.parametrize("sets", ["same", "other"])
@pytest.mark.parametrize(
    ("new", "old", "verdict", "words"),
    [
        (0.8, 0.6, "holds", "The new one is better than the old one"),
        (0.6, 0.8, "does not hold", "The new one is worse than the old one"),
        (0.7, 0.7, "cannot tell", "The new one cannot be distinguished from the old one"),
    ],
)
def test_a_finding_is_judged_by_the_interval_of_the_difference(study, new, old, verdict, words, sets):
    finding = build_report(study, study_results(new, old, sets)).findings[0]
    assert finding.verdict == verdict
    assert finding.sentence.startswith(words)
    assert "(new beats old)" in finding.sentence
    low, high = finding.interval
    assert low < finding.value < high
    assert low < 100 * (new - old) < high


def test_without_a_published_finding_no_verdict_is_given(study):
    finding = build_report(study, study_results(0.8, 0.5)).findings[1]
    assert finding.verdict is None
    assert "top-5" in finding.sentence
    assert "finding" not in finding.sentence


def test_a_row_has_seeds_draws_chance_and_the_published_score(study):
    found = build_report(study, study_results(0.8, 0.6))
    score = found.rows[0].scores["top1"]
    assert (found.rows[0].seeds, found.rows[0].draws) == (2, 5)
    assert score.less_published == pytest.approx(score.mean - 87.15)
    assert score.interval[0] < score.mean < score.interval[1]
    assert score.std is not None
    assert score.draw_std is not None
    assert (found.chance("top1"), found.chance("top5")) == (10, 50)


def test_published_scores_are_not_compared_with_scores_on_other_data(study):
    found = build_report(replace(study, dataset="mnist"), study_results(0.8, 0.6))
    assert found.rows[0].scores["top1"].published == 87.15
    assert found.rows[0].scores["top1"].less_published is None
    assert found.notes[0].startswith("Measured on digits, not on mnist")


@pytest.mark.parametrize(
    ("new", "old", "answer"),
    [
        (0.8, 0.6, "comes from the approach"),
        (0.6, 0.8, "comes from the hyper-parameters"),
        (0.7, 0.7, "comes from the hyper-parameters"),
    ],
)
def test_the_same_search_for_both_separates_approach_from_hyper_parameters(study, new, old, answer):
    after = study_results(new, old).systems
    chosen = {"new": 0.1, "old": 1.0}
    tried = {id: SearchResult({m.protocol: 70.0}, 4, m.protocol, {"rate": chosen[id]}) for id, m in after.items()}
    searching = replace(study, search=Search({"rate": [0.01, 0.1, 1.0]}, ()))
    found = build_report(searching, replace(study_results(0.8, 0.6), searched=after, tried=tried))
    sentence = found.findings[1].sentence
    assert sentence.startswith("After both were searched over the same 3 settings")
    assert answer in sentence
    assert [row.name for row in found.rows][2:] == ["the new one, after the search", "the old one, after the search"]
    new_choice, old_choice = (row.note for row in found.rows[2:])
    assert "edge" not in new_choice
    assert old_choice.endswith("rate 1.0 (at the edge of the grid)")


def test_the_best_row_is_compared_with_a_published_score_without_a_row(study):
    other = replace(
        study,
        other_published=(PublishedScore("theirs, error 5.72 %", top1=94.28), PublishedScore("no top-1", top5=99.0)),
    )
    found = build_report(other, study_results(0.8, 0.6))
    sentences = [one.sentence for one in found.findings if "theirs" in one.sentence]
    mean = found.rows[0].scores["top1"].mean
    assert len(sentences) == 1
    assert sentences[0].startswith(
        f"The new one has the best top-1 of the table: {mean:.2f}, an error of {100 - mean:.2f} %"
    )
    assert sentences[0].endswith("Published: theirs, error 5.72 %: 94.28.")
    assert not any("no top-1" in one.sentence for one in found.findings)


@pytest.mark.parametrize(("top1", "side"), [(20.0, "above it"), (99.9, "below it"), (None, "not distinguished")])
def test_a_published_score_with_named_rows_says_on_which_side_of_it_each_of_them_is(study, top1, side):
    found = study_results(0.8, 0.6)
    mean = build_report(study, found).rows[1].scores["top1"].mean
    theirs = PublishedScore("theirs", top1=mean if top1 is None else top1, systems=("old",))
    sentences = [one.sentence for one in build_report(replace(study, other_published=(theirs,)), found).findings]
    (sentence,) = [sentence for sentence in sentences if "theirs" in sentence]
    assert f"{side}: the old one (" in sentence
    assert "the new one" not in sentence
    elsewhere = build_report(replace(study, dataset="mnist", other_published=(theirs,)), found)
    assert not any("theirs" in one.sentence for one in elsewhere.findings)


def at_best(record: Record, protocol: str, more: int) -> tuple[Record, BestEpoch]:
    """Return a record with one draw, and a best epoch (2 of 3) that answers some more images rightly."""
    whole = record.protocols[protocol]
    right = np.unpackbits(np.frombuffer(base64.b64decode(whole.correct[0]), np.uint8), count=whole.images)
    better = right.copy()
    better[np.flatnonzero(right == 0)[:more]] = 1
    packed = [base64.b64encode(np.packbits(bits).tobytes()).decode() for bits in (right, better)]
    share = [float(bits.mean()) for bits in (right, better)]
    last = replace(whole, metrics={"top1": share[0]}, draws=[{"top1": share[0]}], correct=packed[:1], label_sets=None)
    single = replace(record, protocols={protocol: last})
    return single, BestEpoch(digest(record.identity), [1, 2, 3], [0.1, share[1], share[0]], 2, packed[1])


def test_what_choosing_on_test_adds_is_the_mean_over_rows_with_students_interval(study):
    runs = {
        "new": at_best(records(0.8, "lowshot-1pct-frozen", 1)[0], "lowshot-1pct-frozen", 20),
        "old": at_best(records(0.5, "scratch-1pct", 2)[0], "scratch-1pct", 4),
    }
    asking = replace(
        study, comparisons=(), systems=tuple(replace(system, best_epoch_on_test=True) for system in study.systems)
    )
    found = build_report(
        asking,
        StudyResults(
            {id: SystemResult(asking.system(id).protocol, [record]) for id, (record, _) in runs.items()},
            best_epochs={id: (best,) for id, (_, best) in runs.items()},
        ),
    )
    assert [row.name for row in found.rows][1::2] == [
        "the new one, best epoch on test",
        "the old one, best epoch on test",
    ]
    last, best = found.rows[0].scores["top1"], found.rows[1].scores["top1"]
    assert best.mean - last.mean == pytest.approx(5)
    assert (last.published, best.published) == (None, 87.15)
    of_new, of_old, table, _ = found.findings
    assert (of_new.value, of_old.value, table.value) == pytest.approx((5, 1, 3))
    assert of_new.interval[0] > 0 > of_old.interval[0]
    assert "(2 of 2)" in of_new.sentence and "may not be better" in of_old.sentence
    half = 12.7062 * np.std([5, 1], ddof=1) / np.sqrt(2)
    assert table.interval == pytest.approx((3 - half, 3 + half), rel=1e-4)
    assert "adds 3.00 points to these 2 rows on average" in table.sentence
    assert "the order of 0 of 1 pairs" in table.sentence


def test_a_loss_that_became_nan_is_reported(study):
    diverged = records(0.5, "scratch-1pct", 2, status="diverged")
    found = build_report(
        study, StudyResults(study_results(0.8, 0.6).systems | {"old": SystemResult("scratch-1pct", diverged)})
    )
    assert "2 of 2 pretrainings became infinite or NaN" in found.findings[-1].sentence
    assert "loss became nan" in found.findings[-1].sentence
    assert "stayed finite" in build_report(study, study_results(0.8, 0.6)).findings[-1].sentence


def test_a_system_without_records_is_not_compared(study):
    found = build_report(
        study, StudyResults(study_results(0.8, 0.6).systems | {"old": SystemResult("scratch-1pct", [])})
    )
    assert "cannot be compared" in found.findings[0].sentence
    assert found.rows[1].status is None


def test_unpaired_scores_of_equal_methods_differ_in_about_one_of_twenty_cases():
    chance = np.random.default_rng(0)
    misses = 0
    for _ in range(400):
        sides = [
            [
                [float(chance.binomial(200, 0.6 + seed + draw) / 200) for draw in draws]
                for seed in chance.normal(0, 0.01, 3)
            ]
            for draws in (chance.normal(0, 0.03, 5), chance.normal(0, 0.03, 4))
        ]
        low, high = unpaired(sides[0], sides[1], (200, 200)).interval
        misses += not low <= 0 <= high
    assert misses <= 0.07 * 400
