"""The version of ``linear`` is raised only in records in which the new rule is proven to give the same answers."""

import json
from dataclasses import replace

import pytest

from bench.maintenance.raise_linear import choice, raised, reason_against
from bench.maintenance.update_readme import ROOT
from bench.records.record_json import from_json, to_json
from protocols.catalogue import HALF_DECADES

REFERENCE = ROOT / "results" / "reference"


def curves():
    """(file, losses on val, chosen penalty) of every committed record with ``linear``."""
    for path in sorted(REFERENCE.glob("**/records*/**/*.json")):
        measurement = json.loads(path.read_text()).get("protocols", {}).get("linear")
        if measurement and measurement["same_as"] is None:
            yield path.relative_to(REFERENCE), measurement["choices"]["val_log_loss"], measurement["choices"]["penalty"]


def test_the_rule_chooses_the_recorded_penalty_in_every_committed_record():
    found = list(curves())
    assert len(found) > 200
    assert [str(path) for path, losses, chosen in found if choice(losses) != float(f"{chosen:.3g}")] == []


def test_nothing_is_below_the_minimum_after_the_rule_has_stopped():
    """On committed records the losses have one valley: the rule never stops before a lower loss."""
    for path, losses, _ in curves():
        assert losses[f"{choice(losses):.3g}"] == min(losses.values()), path


@pytest.fixture
def record():
    path = next(iter(sorted((REFERENCE / "records/digits/resnet9_slim/quick/simclr").glob("*.json"))))
    found = from_json(path.read_text())
    penalties = [f"{penalty:.3g}" for penalty in sorted(HALF_DECADES, reverse=True)]
    losses = {name: 1.0 + abs(number - 9) / 10 for number, name in enumerate(penalties)}
    return with_linear(found, version=1, choices={"penalty": 0.00316228, "val_log_loss": losses})


def with_linear(record, **changed):
    linear = replace(record.protocols["linear"], **changed)
    return replace(record, protocols=record.protocols | {"linear": linear})


def test_only_the_version_changes(record):
    text = to_json(record)
    changed, reason = raised(text)
    assert reason is None
    assert from_json(changed) == with_linear(record, version=2)
    assert sum(a != b for a, b in zip(text.splitlines(), changed.splitlines(), strict=True)) == 1
    assert raised(changed) == (changed, "no linear of the old version")


def test_a_record_is_not_raised_if_the_rule_stops_before_its_penalty(record):
    losses = dict(record.protocols["linear"].choices["val_log_loss"]) | {"0.0316": 1.9}
    stopped = with_linear(record, choices={"penalty": 0.00316228, "val_log_loss": losses})
    assert "another penalty (0.1 instead of 0.00316228)" in reason_against(stopped)


def test_a_record_is_not_raised_if_it_has_not_every_loss(record):
    losses = dict(list(record.protocols["linear"].choices["val_log_loss"].items())[:-1])
    assert "not those of every penalty" in reason_against(
        with_linear(record, choices={"penalty": 0.01, "val_log_loss": losses})
    )
    assert "not those of every penalty" in reason_against(with_linear(record, choices={"penalty": 0.01}))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"backbone": "resnet18"}, "wide"),
        ({"method": "pixels", "dataset": "fashion_mnist"}, "wide"),
        ({"method": "pixels", "dataset": "folder-mine-0123abcd"}, "unknown"),
        ({"method": "autoencoder", "settings": {"dim": 400}}, "wide"),
        ({"method": "of_a_plugin"}, "unknown"),
        ({"plugin": "0f" * 8}, "unknown"),
    ],
)
def test_a_wide_or_unknown_problem_is_not_raised(record, changed, reason):
    other = replace(record, identity=replace(record.identity, **changed))
    text = to_json(other)
    assert reason in raised(text)[1]
    assert raised(text)[0] == text
    assert raised(to_json(replace(record, identity=replace(record.identity, method="pixels"))))[1] is None
