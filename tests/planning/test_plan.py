"""The planner: what is recorded is not done again, what is not valid is."""

from dataclasses import replace

from bench.planning.plan import Wanted, plan
from bench.records.record import Identity, Measurement, Record

IDENTITY = Identity("digits", "f00d", "test", "simclr", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
PROTOCOLS = {"knn": 1, "linear": 1}


def recorded(status="ok", identity=IDENTITY, **versions):
    return Record(identity, status, protocols={name: Measurement(version) for name, version in versions.items()})


def only(found, wanted=None, **options):
    (run,) = plan([wanted or Wanted(IDENTITY, PROTOCOLS)], found, **options)
    return run


def test_what_has_no_record_is_done_whole():
    run = only([])
    assert (run.protocols, run.reason, run.done) == (("knn", "linear"), "new", False)


def test_what_is_recorded_is_not_done_again():
    assert only([recorded(knn=1, linear=1)]).done
    assert only([recorded("collapsed", knn=1, linear=1)]).done
    assert only([recorded("diverged")]).done


def test_what_failed_or_was_interrupted_is_tried_again():
    for status in ("failed", "interrupted"):
        run = only([recorded(status, knn=1)])
        assert (run.protocols, run.recorded) == (("linear",), ("knn",))
        assert not run.done
    assert not only([recorded("failed", knn=1, linear=1)]).done


def test_a_new_or_changed_protocol_alone_is_measured():
    run = only([recorded(knn=1, linear=2)])
    assert (run.protocols, run.recorded, run.reason) == (("linear",), ("knn",), "protocols missing")


def test_another_version_of_anything_makes_a_record_stale():
    changes = [
        {"method_version": 2},
        {"backbone_version": 2},
        {"harness_version": 2},
        {"fingerprint": "beef"},
        {"batch": 128},
        {"epochs": 3},
    ]
    for change in changes:
        run = only([recorded(identity=replace(IDENTITY, **change), knn=1, linear=1)])
        assert (run.protocols, run.reason) == (("knn", "linear"), "stale"), change


def test_a_record_of_another_seed_or_setting_is_no_record_of_this_run():
    for other in (replace(IDENTITY, seed=1), replace(IDENTITY, settings={"temperature": 0.1})):
        assert only([recorded(identity=other, knn=1, linear=1)]).reason == "new"


def test_force_does_everything_again():
    run = only([recorded(knn=1, linear=1)], force=True)
    assert (run.protocols, run.recorded, run.reason) == (("knn", "linear"), (), "forced")
