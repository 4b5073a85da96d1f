"""One run in the test's process: what it does with files that it cannot use."""

from support.in_process import context_of, options_of

from bench import HARNESS_VERSION
from bench.data import load
from bench.execution.run import execute
from bench.planning.plan import Wanted, plan
from bench.records.record import Identity
from bench.records.store import Store


def test_an_unknown_file_with_the_record_s_name_is_renamed_and_reported(tmp_path):
    dataset = load("digits")
    identity = Identity(
        "digits", dataset.fingerprint, "test", "pixels", 1, "resnet9_slim", 1, HARNESS_VERSION, "smoke", 2, 256, 0
    )
    store = Store(tmp_path)
    path = store.record_path(identity)
    path.parent.mkdir(parents=True)
    path.write_text("not mine")
    (run,) = plan([Wanted(identity, {"knn": 1})], [])
    lines = []
    record = execute(run, dataset, context_of(options_of(tmp_path), on_message=lines.append))
    assert record is not None
    assert record.status == "ok", record.cause
    (line,) = lines
    assert str(path) in line
    assert line.endswith("seed-0.json.kept-1")
    assert (path.parent / "seed-0.json.kept-1").read_text() == "not mine"
