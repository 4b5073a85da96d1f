"""Protocols with changed constants: the id holds the changes, so that any process can resolve it."""

import pytest

from protocols.catalogue import UnknownProtocol, load, resolve
from protocols.parts.training import Training
from protocols.variants import variant_id


def test_a_variant_changes_the_constants_in_its_id_and_nothing_else():
    base, changed = resolve("lowshot-1pct"), resolve("lowshot-1pct@start=zero,training.steps=400,training.trunk_rate=0")
    assert changed.id == "lowshot-1pct@start=zero,training.steps=400,training.trunk_rate=0"
    before, after = base.constants["training"], changed.constants["training"]
    assert isinstance(after, Training)
    assert (after.steps, after.trunk_rate, after.head_rate) == (400, 0.0, before.head_rate)
    assert changed.constants["start"] == "zero"
    assert (changed.version, changed.labels, changed.draws) == (base.version, base.labels, base.draws)
    load(changed)


def test_further_changes_of_a_variant_are_sorted_by_name():
    first = variant_id("scratch-1pct@head=conv", {"training.steps": 100})
    assert first == variant_id(variant_id("scratch-1pct", {"training.steps": 100}), {"head": "conv"})
    assert resolve(first).constants["head"] == "conv"


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("lowshot-1pct@", "write lowshot-1pct@CONSTANT=VALUE"),
        ("lowshot-1pct@training.stepps=4", "no constant 'training.stepps'"),
        ("lowshot-1pct@labels=10", "no constant 'labels'"),
        ("lowshot-1pct@training.steps=many", "takes a value like 100"),
        ("lowshott-1pct@training.steps=4", "did you mean"),
    ],
)
def test_a_mistake_in_a_variant_is_a_one_line_error(id, message):
    with pytest.raises(UnknownProtocol, match=message) as caught:
        resolve(id)
    assert "\n" not in str(caught.value)
