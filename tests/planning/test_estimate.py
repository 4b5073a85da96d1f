"""The estimate of time: from earlier records of the same method, else by a rule; compared with the committed records."""

from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from bench.planning.estimate import Workload, estimate, seconds_of
from bench.planning.plan import PlannedRun
from bench.records.record import Cost, Identity, Measurement, Record
from bench.records.store import Store
from methods.traits import Traits

REFERENCE = Store(Path(__file__).parents[2] / "results" / "reference")
IDENTITY = Identity("digits", "f00d", "test", "simclr", 1, "resnet9_slim", 1, 1, "quick", 20, 256, 0)
SIZES = {"digits": (8, 1438, 359), "fashion_mnist": (28, 60_000, 10_000), "mnist": (28, 60_000, 10_000)}


def workload(dataset: str) -> Workload:
    size, train, test = SIZES[dataset]
    return Workload(Traits(1, size, 10, (0.3,), (0.3,), False, train, train), test)


def run_of(identity: Identity, *protocols: str, **changed) -> PlannedRun:
    return PlannedRun(identity, protocols, (), changed.pop("reason", "new"), **changed)


def recorded(identity: Identity, pretrain_s: float, knn_s: float) -> Record:
    cost = Cost(pretrain_s=pretrain_s, evaluate_s=knn_s + 1.0)
    knn = Measurement(1, {"top1": 1.0}, [{"top1": 1.0}], correct=["/w=="], images=8, seconds=knn_s)
    return Record(identity, "ok", protocols={"knn": knn}, cost=cost)


def test_a_record_of_another_budget_gives_the_time_per_epoch(tmp_path):
    store = Store(tmp_path)
    store.write(recorded(IDENTITY, pretrain_s=40.0, knn_s=2.0))
    long = replace(IDENTITY, budget="100ep", epochs=100, seed=3)
    found = estimate([run_of(long, "knn")], workload("digits"), store)
    assert found.seconds == [pytest.approx(200.0 + 2.0 + 1.0)]
    assert found.measured == 1
    other = run_of(replace(long, method="byol"), "knn")
    assert estimate([other], workload("digits"), store).measured == 0


def test_a_trained_encoder_needs_no_second_training(tmp_path):
    store = Store(tmp_path)
    store.write(recorded(IDENTITY, pretrain_s=40.0, knn_s=2.0))
    store.encoder_path(IDENTITY).parent.mkdir(parents=True)
    store.encoder_path(IDENTITY).touch()
    (more,) = estimate([run_of(IDENTITY, "knn")], workload("digits"), store).seconds
    (forced,) = estimate([run_of(IDENTITY, "knn", reason="forced")], workload("digits"), store).seconds
    assert more == pytest.approx(3.0)
    assert forced == pytest.approx(43.0)


def test_several_jobs_share_the_time_but_one_run_is_never_divided(tmp_path):
    runs = [run_of(replace(IDENTITY, seed=seed), "knn") for seed in range(4)]
    found = estimate(runs, workload("digits"), Store(tmp_path))
    assert found.total(2) == pytest.approx(sum(found.seconds) / 2)
    assert found.total(100) == max(found.seconds)


def test_the_rule_is_within_a_factor_of_three_of_most_committed_records():
    records = [record for record in REFERENCE.read_all()[0] if record.identity.dataset in SIZES]
    ratios = []
    for record in records:
        took = (record.cost.pretrain_s or 0.0) + (record.cost.evaluate_s or 0.0)
        if record.status != "ok" or took < 10 or not record.cost.pretrain_s:
            continue
        run = run_of(record.identity, *(name for name, m in record.protocols.items() if m.same_as is None))
        by_rule = seconds_of(run, workload(record.identity.dataset), [], record.cost.views_per_image or 2)
        ratios.append(by_rule / took)
    assert len(ratios) > 100
    assert 0.5 < median(ratios) < 2
    assert sum(1 / 3 < ratio < 3 for ratio in ratios) / len(ratios) > 0.9
