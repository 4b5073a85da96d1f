"""Records from strangers: what does not hold is named in one line and skipped, and an edited score does not stand."""

import base64
import copy
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bench.leaderboard.build import CurrentVersions, build
from bench.records import store as stores
from bench.records.lookup import find
from bench.records.record import Record
from bench.records.record_json import UnreadableRecord, from_json, to_json
from bench.records.store import Problem, Store, read_record

Campaign = Callable[..., list[Record]]
SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "results" / "record.schema.json").read_text())


def changed(record: Record, path: str, value: Any) -> str:
    """The record's JSON with one entry replaced; ``path`` is separated by slashes. The value may be raw JSON text in bytes."""
    data = copy.deepcopy(json.loads(to_json(record)))
    *outer, last = path.split("/")
    place: Any = data
    for key in outer:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = "@" if isinstance(value, bytes) else value
    text = json.dumps(data)
    return text.replace('"@"', value.decode()) if isinstance(value, bytes) else text


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


HOSTILE: dict[str, tuple[str, Any]] = {
    "a seed of 31 digits": ("identity/seed", 10**30),
    "a seed below zero": ("identity/seed", -1),
    "a truth value as seed": ("identity/seed", True),
    "a text as seed": ("identity/seed", "0"),
    "a fraction as seed": ("identity/seed", 0.5),
    "a number of 400 digits": ("identity/epochs", 10**400),
    "a number of 5000 digits": ("identity/epochs", b"1" + b"0" * 5000),
    "more epochs than anybody trains": ("identity/epochs", 10**9),
    "NaN in the identity": ("identity/epochs", b"NaN"),
    "infinity in a setting": ("identity/settings/temperature", b"1e999"),
    "infinity as a text in a setting": ("identity/settings/temperature", "Infinity"),
    "infinity in a setting within a list": ("identity/settings/crop", [0.5, "-Infinity"]),
    "a number of 400 digits in a setting": ("identity/settings/temperature", 10**400),
    "a deep setting": ("identity/settings/temperature", nested(50)),
    "a very deep setting": ("identity/settings/temperature", nested(100_000)),
    "settings as a list": ("identity/settings", []),
    "settings missing a type": ("identity/settings", None),
    "a method without a name": ("identity/method", ""),
    "a line break in a name": ("identity/method", "sim\nclr"),
    "an escape character in a name": ("identity/method", "sim\x1b[31mclr"),
    "a C1 control character in a name": ("identity/method", "sim\x9bclr"),
    "a bidirectional mark in a name": ("identity/method", "sim\u202eclr"),
    "a line separator in a name": ("identity/dataset", "digits\u2028"),
    "a name of 1000 letters": ("identity/method", "m" * 1000),
    "half of a surrogate pair": ("identity/method", b'"sim\\ud800"'),
    "half of a surrogate pair in the cause": ("cause", b'"\\udcff"'),
    "a list as method": ("identity/method", ["simclr"]),
    "an unknown task": ("identity/task", "train"),
    "an unknown entry": ("identity/more", 1),
    "a plugin that is a number": ("identity/plugin", 5),
    "an unknown status": ("status", "perfect"),
    "a group of its own": ("group", "winners"),
    "one class": ("classes", 1),
    "a truth value as classes": ("classes", True),
    "absurdly many classes": ("classes", 10**12),
    "costs below zero": ("cost/pretrain_s", -1.0),
    "a cost that is infinite": ("cost/pretrain_s", b"1e999"),
    "a cost as text": ("cost/pretrain_s", "Infinity"),
    "a number of parameters below zero": ("cost/parameters", -5),
    "numbers of images below zero": ("data/train", -5),
    "a missing number of images": ("data", {"train": 5}),
    "notes as a text": ("notes", "a note"),
    "a note that is a number": ("notes", [5]),
    "a curve of text": ("curve/loss", ["high"]),
    "a curve with a number of 400 digits": ("curve/loss", [1, 2, 10**400]),
    "a curve of lists": ("curve/loss", [[1], [2], [3]]),
    "curves of different lengths": ("curve/loss", [1.0]),
    "a curve of truth values": ("curve/loss", [True, True, True]),
    "protocols as a list": ("protocols", []),
    "a protocol that is a number": ("protocols/knn", 5),
    "a version below zero": ("protocols/knn/version", -1),
    "a text as score": ("protocols/knn/metrics/top1", "0.75"),
    "a truth value as score": ("protocols/knn/metrics/top1", True),
    "a score above one": ("protocols/knn/metrics/top1", 1.5),
    "a score that is no number": ("protocols/knn/metrics/top1", "NaN"),
    "a score of 400 digits": ("protocols/knn/metrics/nll", 10**400),
    "an infinite score": ("protocols/knn/metrics/nll", b"-1e999"),
    "a variant above one": ("protocols/knn/variants/k=1/top1", 2.0),
    "images below zero": ("protocols/knn/images", -4),
    "more images than answers": ("protocols/knn/images", 9),
    "fewer images than answers": ("protocols/knn/images", 2),
    "no images": ("protocols/knn/images", 0),
    "absurdly many images": ("protocols/knn/images", 10**15),
    "answers that are not base64": ("protocols/knn/correct", ["4A="]),
    "answers with other letters": ("protocols/knn/correct", ["ä==="]),
    "answers that are numbers": ("protocols/knn/correct", [5]),
    "answers of more images than there are": ("protocols/knn/correct", ["/w=="]),
    "other answers": ("protocols/knn/correct", ["oA=="]),
    "no answers": ("protocols/knn/correct", []),
    "answers of more draws": ("protocols/knn/correct", ["4A==", "4A=="]),
    "no draws": ("protocols/knn/draws", []),
    "a draw without scores": ("protocols/knn/draws", [{}]),
    "a draw that is a number": ("protocols/knn/draws", [0.75]),
    "an accuracy above one": ("protocols/knn/train_accuracy", [2.0]),
    "a largest class above one": ("protocols/knn/largest_class", 2.0),
    "seconds below zero": ("protocols/knn/seconds", -1.0),
    "a protocol with the scores of another one and its own": ("protocols/knn/same_as", "lowshot-1"),
    "a deep environment": ("environment/device", nested(60)),
    "an environment with a number of 400 digits": ("environment/threads", 10**400),
    "a recipe that is a list": ("recipe", []),
    "a schema version that is a truth value": ("schema_version", True),
    "a schema version below one": ("schema_version", 0),
    "a schema version of 400 digits": ("schema_version", 10**400),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_is_refused_in_one_short_line_without_control_characters(record: Record, name: str) -> None:
    with pytest.raises(UnreadableRecord) as caught:
        from_json(changed(record, *HOSTILE[name]))
    message = str(caught.value)
    assert message.isprintable() and len(message) < 1000, message


@pytest.mark.parametrize(
    "path",
    [
        "/".join((*outer, key))
        for outer, keys in {
            (): ("identity", "status", "protocols", "curve", "cost", "environment", "recipe", "notes"),
            ("identity",): (
                "dataset",
                "fingerprint",
                "method_version",
                "backbone",
                "harness_version",
                "budget",
                "batch",
            ),
            ("protocols", "knn"): ("metrics", "variants", "choices", "curves", "label_sets", "plugin"),
        }.items()
        for key in keys
    ],
)
@pytest.mark.parametrize("wrong", [True, -1, 1.5, [[]], {"a": {"b": [None]}}, b"1e999", 10**30], ids=repr)
def test_a_value_of_another_type_anywhere_is_refused(record: Record, path: str, wrong: Any) -> None:
    if wrong == {"a": {"b": [None]}} and path.rpartition("/")[2] in ("environment", "recipe", "choices"):
        return
    with pytest.raises(UnreadableRecord):
        from_json(changed(record, path, wrong))


def test_one_hostile_record_never_stops_a_leaderboard(
    tmp_path: Path, campaign: Campaign, current: CurrentVersions, record: Record
) -> None:
    store = Store(tmp_path)
    good = campaign({"simclr": 0.5, "byol": 0.2})
    for one in good:
        store.write(one)
    folder = store.record_path(good[0].identity).parent
    for number, (path, value) in enumerate(HOSTILE.values()):
        (folder / f"seed-{100 + number}.json").write_text(changed(record, path, value))
    records, problems = store.read_all()
    assert {r.identity.method for r in records} == {"simclr", "byol"}
    assert len(problems) == len(HOSTILE)
    assert all("\n" not in str(problem) for problem in problems)
    (table,) = build(records, current).tables
    assert [row.method for row in table.rows] == ["simclr", "byol"]


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    store.write(record)
    folder = store.record_path(record.identity).parent
    os.mkfifo(folder / "seed-100.json")
    (folder / "seed-101.json").symlink_to("/dev/zero")
    (folder / "seed-102.json").symlink_to("/dev/tty")
    (folder / "seed-103.json").mkdir()
    (folder / "seed-104.json").symlink_to("seed-104.json")
    started = time.monotonic()
    records, problems = store.read_all()
    assert time.monotonic() - started < 30, "a pipe was opened"
    assert len(records) == 1
    assert [problem.path.name for problem in problems] == [f"seed-{n}.json" for n in range(100, 105)]


def test_a_file_of_three_gigabytes_is_not_read(tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seed-0.json"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    found = read_record(path)
    assert isinstance(found, Problem) and "larger than 32 MB" in found.reason
    path.write_text(to_json(record))
    monkeypatch.setattr(stores, "LARGEST_RECORD", path.stat().st_size)
    assert isinstance(read_record(path), Record)
    monkeypatch.setattr(stores, "LARGEST_RECORD", path.stat().st_size - 1)
    assert isinstance(read_record(path), Problem)


def test_an_edited_score_does_not_stand(campaign: Campaign) -> None:
    (record,) = campaign({"simclr": 0.5}, columns=("knn", "lowshot-1"))
    data = json.loads(to_json(record))
    for edit in (
        lambda m: m["metrics"].update(top1=0.999),
        lambda m: [entry.update(top1=0.999) for entry in (m["metrics"], *m["draws"])],
        lambda m: m["metrics"].update(mean_class=0.999),
        lambda m: m["metrics"].update(nll=0.01),
        lambda m: m["metrics"].pop("top1"),
        lambda m: m.update(correct=[base64.b64encode(b"\xff" * 45).decode() for _ in m["draws"]]),
        lambda m: m.update(draws=[], correct=[]),
        lambda m: m.update(draws=[*m["draws"], m["draws"][0]]),
        lambda m: m["draws"][-1].pop("top1"),
    ):
        for protocol in ("knn", "lowshot-1"):
            edited = copy.deepcopy(data)
            edit(edited["protocols"][protocol])
            with pytest.raises(UnreadableRecord, match=protocol):
                from_json(json.dumps(edited))
    assert from_json(json.dumps(data)).identity == record.identity


def test_a_copied_record_is_no_second_seed_but_a_moved_folder_stays_whole(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path / "results")
    store.write(record)
    path = store.record_path(record.identity)
    shutil.copy(path, path.with_name("seed-4.json"))
    other = tmp_path / "results" / "records" / "digits" / "vit_nano" / "standard" / "simclr" / "seed-3.json"
    other.parent.mkdir(parents=True)
    other.symlink_to(path)
    records, problems = store.read_all()
    assert [r.identity.seed for r in records] == [3]
    assert {problem.path for problem in problems} == {path.with_name("seed-4.json"), other}
    assert all(str(path.relative_to(store.root)) in problem.reason for problem in problems)
    copied = replace(record.identity, seed=4)
    assert store.read(copied) is None
    line = store.write(replace(record, identity=copied))
    assert line is not None and line.endswith("seed-4.json.kept-1")

    shutil.move(tmp_path / "results", tmp_path / "elsewhere")
    moved = Store(tmp_path / "elsewhere")
    assert {r.identity.seed for r in moved.read_all()[0]} == {3, 4}
    single = tmp_path / "sent by a colleague.json"
    shutil.copy(moved.record_path(record.identity), single)
    assert find(moved, str(single)).identity == record.identity


def test_a_protocol_cannot_refer_to_itself(record: Record) -> None:
    for other in ("lowshot-1pct", "lowshot-1"):
        data = json.loads(to_json(record))
        data["protocols"]["lowshot-1"] = data["protocols"]["lowshot-1pct"] | {"same_as": "lowshot-1pct"}
        data["protocols"]["lowshot-1pct"]["same_as"] = other
        with pytest.raises(UnreadableRecord, match="same_as"):
            from_json(json.dumps(data))


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    for bad in (
        replace(record, identity=replace(record.identity, settings={"temperature": float("inf")})),
        replace(record, identity=replace(record.identity, seed=10**30)),
        replace(record, environment={"device": object()}),
        replace(record, curve={"los\ns": [1.0]}),
    ):
        with pytest.raises(UnreadableRecord):
            store.write(bad)
    assert not list(tmp_path.rglob("*.json*"))


def test_a_name_that_is_no_utf8_is_written_as_escapes(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    odd = replace(record, cause="cannot read /data/b\udcffrd.png", notes=["\ud800"])
    store.write(odd)
    back = store.read(odd.identity)
    assert back is not None
    assert (back.cause, back.notes) == ("cannot read /data/b\\udcffrd.png", ["\\ud800"])


def test_the_schema_for_other_programs_accepts_what_is_written_and_refuses_wrong_types(record: Record) -> None:
    check = Draft202012Validator(SCHEMA)
    check.validate(json.loads(to_json(record)))
    for name in (
        "a seed below zero",
        "an unknown status",
        "a group of its own",
        "notes as a text",
        "a score above one",
    ):
        assert not check.is_valid(json.loads(changed(record, *HOSTILE[name]))), name
