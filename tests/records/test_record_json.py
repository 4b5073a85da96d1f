import json
from dataclasses import fields, replace

import pytest

from bench.records.record import Identity, Record
from bench.records.record_json import UnreadableRecord, from_json, to_json


def test_every_entry_of_a_record_is_read_back_unchanged(record: Record) -> None:
    back = from_json(to_json(record))
    assert repr(back) == repr(record)  # repr, because NaN does not equal itself
    assert back.identity == record.identity


def test_the_text_is_strict_json_without_nan(record: Record) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"bare {word}")

    data = json.loads(to_json(record), parse_constant=refuse)
    assert data["curve"]["loss"][2] == "NaN"
    assert data["protocols"]["knn"]["metrics"]["nll"] == "Infinity"


def test_tuples_in_settings_become_lists(record: Record) -> None:
    assert from_json(to_json(record)).identity.settings["crop"] == [0.5, 1.0]
    values = {name: getattr(record.identity, name) for name in (f.name for f in fields(Identity))}
    assert Identity(**(values | {"settings": {"crop": (0.5, 1.0)}})).settings == {"crop": [0.5, 1.0]}


def test_a_value_that_json_cannot_represent_is_refused(record: Record) -> None:
    with pytest.raises(TypeError):
        to_json(replace(record, environment={"device": object()}))


def measured(images: int, correct: str) -> dict[str, object]:
    """A measurement in JSON with a top-1 of 0.75."""
    scores = {"top1": 0.75}
    return {"version": 1, "metrics": scores, "draws": [scores], "images": images, "correct": [correct]}


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_a_truncated_text_is_unreadable(record: Record, cut: int) -> None:
    with pytest.raises(UnreadableRecord, match="not valid JSON"):
        from_json(to_json(record)[:cut])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 3}, "newer sslbench"),
        ({"schema_version": "1"}, "unknown schema version"),
        ({"status": "fine"}, "status is 'fine'"),
        ({"identity": {"dataset": "digits"}}, "identity is incomplete"),
        ({"identity": []}, "identity is not an object"),
        ({"surprise": 1}, "unknown entry 'surprise'"),
        ({"curve": {"loss": ["high"]}}, "curve.loss is not a number"),
        ({"protocols": {"knn": {"version": 1.5}}}, "protocols.knn.version"),
        ({"protocols": {"knn": {"version": 1, "correct": [5]}}}, "correct"),
        ({"protocols": {"knn": measured(4, "4A=")}}, "knn.correct is not base64"),
        ({"protocols": {"knn": measured(4, "ä")}}, "knn.correct is not base64"),
        ({"protocols": {"knn": measured(9, "4A==")}}, "1 bytes, 9 images need 2"),
        ({"protocols": {"knn": measured(0, "4A==")}}, "1 bytes, 0 images need 0"),
        ({"protocols": {"knn": measured(4, "oA==")}}, "top1 0.75, but 2 of 4 answers are right"),
    ],
)
def test_an_invalid_record_reports_what_is_wrong(record: Record, change: dict[str, object], reason: str) -> None:
    with pytest.raises(UnreadableRecord, match=reason) as caught:
        from_json(json.dumps(json.loads(to_json(record)) | change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "null", "3", '{"name": "package"}', "[" * 100_000])
def test_other_json_is_not_a_record(text: str) -> None:
    with pytest.raises(UnreadableRecord):
        from_json(text)
