"""Planning: valid records are not repeated, invalid or missing ones are."""

from dataclasses import replace

from bench.planning.plan import Wanted, plan
from bench.records.record import Identity, Measurement, Record

IDENTITY = Identity("digits", "f00d", "test", "simclr", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
PROTOCOLS = {"knn": 1, "linear": 1}


def recorded(status="ok", identity=IDENTITY, **versions):
    return Record(identity, status, protocols={name: Measurement(version) for name, version in versions.items()})


def planned(records, **options):
    (run,) = plan([Wanted(IDENTITY, PROTOCOLS)], records, **options)
    return run


def test_a_run_without_a_record_measures_all_protocols():
    run = planned([])
    assert (run.protocols, run.reason, run.done) == (("knn", "linear"), "new", False)


def test_a_recorded_run_is_not_repeated():
    assert planned([recorded(knn=1, linear=1)]).done
    assert planned([recorded("collapsed", knn=1, linear=1)]).done
    assert planned([recorded("diverged")]).done


def test_a_failed_or_interrupted_run_is_tried_again():
    for status in ("failed", "interrupted"):
        run = planned([recorded(status, knn=1)])
        assert (run.protocols, run.recorded) == (("linear",), ("knn",))
        assert not run.done
    assert not planned([recorded("failed", knn=1, linear=1)]).done


def test_only_a_new_or_changed_protocol_is_measured():
    run = planned([recorded(knn=1, linear=2)])
    assert (run.protocols, run.recorded, run.reason) == (("linear",), ("knn",), "protocols missing")


def test_any_other_version_makes_a_record_stale():
    changes = [
        {"method_version": 2},
        {"backbone_version": 2},
        {"harness_version": 2},
        {"fingerprint": "beef"},
        {"batch": 128},
        {"epochs": 3},
    ]
    for change in changes:
        run = planned([recorded(identity=replace(IDENTITY, **change), knn=1, linear=1)])
        assert (run.protocols, run.reason) == (("knn", "linear"), "stale"), change


def test_a_record_of_another_seed_or_setting_is_ignored():
    for other in (replace(IDENTITY, seed=1), replace(IDENTITY, settings={"temperature": 0.1})):
        assert planned([recorded(identity=other, knn=1, linear=1)]).reason == "new"


def test_force_repeats_everything():
    run = planned([recorded(knn=1, linear=1)], force=True)
    assert (run.protocols, run.recorded, run.reason) == (("knn", "linear"), (), "forced")
