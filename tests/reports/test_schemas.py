import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from bench.leaderboard.build import CurrentVersions, build
from bench.records.record import Measurement, Record
from bench.records.record_json import to_json
from bench.records.store import Store
from bench.reports.formats import to_json as leaderboard_json

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
Campaign = Callable[..., list[Record]]


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((RESULTS / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def samples(campaign: Campaign) -> list[Record]:
    full = campaign({"pixels": -1.0, "simclr": 0.5}, seeds=(0, 1), settings={"crop": (0.2, 1.0), "name": "x"})
    failed = campaign({"vae": 0.0}, columns=(), status="failed", cause="out of memory")
    bare = [Record(identity=replace(full[0].identity, seed=2), status="interrupted")]
    odd = Record(
        identity=replace(full[0].identity, seed=3),
        status="diverged",
        cause="loss is not finite",
        protocols={
            "rankme": Measurement(1, metrics={"rankme": 33.0}, choices={"on": [1, 2]}),
            "lowshot-1pct": Measurement(1, same_as="lowshot-1"),
        },
        curve={"step": [1, 2], "loss": [float("nan"), float("inf")]},
    )
    return [*full, *failed, *bare, odd]


def test_generated_records_match_the_schema(campaign: Campaign) -> None:
    check = validator("record.schema.json")
    for record in samples(campaign):
        check.validate(json.loads(to_json(record)))


@pytest.mark.parametrize(
    "change",
    [{"schema_version": 3}, {"status": "fine"}, {"curve": {"loss": ["high"]}}, {"more": 1}, {"identity": {}}],
)
def test_the_record_schema_refuses_what_the_reader_refuses(campaign: Campaign, change: dict[str, Any]) -> None:
    data = json.loads(to_json(samples(campaign)[0])) | change
    with pytest.raises(ValidationError):
        validator("record.schema.json").validate(data)


def test_every_committed_record_matches_the_schema_and_is_readable() -> None:
    check = validator("record.schema.json")
    store = Store(RESULTS / "reference")
    paths = [path for task in ("test", "val") for path in store.paths("val" if task == "val" else "test")]
    if not paths:
        pytest.skip("results/reference holds no records yet")
    for path in paths:
        check.validate(json.loads(path.read_text()))
    records, problems = store.read_all()
    assert problems == [] and records
    for record in records:
        assert store.record_path(record.identity) in paths


def test_leaderboards_match_their_schema(campaign: Campaign, current: CurrentVersions) -> None:
    check = validator("leaderboard.schema.json")
    stale = campaign({"byol": 0.1}, identity={"harness_version": 4})
    for records in ([], samples(campaign), samples(campaign) + stale):
        check.validate(json.loads(leaderboard_json(build(records, current, all_protocols=True))))
    for path in RESULTS.glob("reference/**/leaderboard.json"):
        check.validate(json.loads(path.read_text()))


def test_records_and_tables_are_read_without_torch() -> None:
    modules = ", ".join(
        (
            "bench.records.store",
            "bench.records.lookup",
            "bench.leaderboard.read",
            "bench.reports.formats",
            "bench.reports.leaderboard",
            "bench.reports.comparison",
            "bench.reports.record",
        )
    )
    code = f"import sys, {modules}; print(sorted({{'torch', 'numpy', 'scipy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
