"""The catalogue: every id resolves and loads, an unknown id gets a suggestion, and torch is not imported."""

import subprocess
import sys

import pytest

from protocols.base import EvaluationProtocol
from protocols.catalogue import DEFAULT, ENTRIES, Entry, UnknownProtocol, add, label_sets_of, load, resolve
from protocols.parts.labels import parse_labels

ON_REQUEST = [
    "lowshot-64",
    "lowshot-5-mlp",
    "lowshot-0.5pct-frozen-conv",
    "scratch-10pct",
    "pseudolabel-1pct",
    "pseudolabel-1000+2000",
]


def test_the_catalogue_imports_no_torch() -> None:
    code = "import sys, protocols.catalogue as c; c.resolve('lowshot-1'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("id", [*ENTRIES, *ON_REQUEST])
def test_every_protocol_loads_with_its_constants(id: str) -> None:
    entry = resolve(id)
    protocol = load(entry)
    assert isinstance(protocol, EvaluationProtocol)
    assert entry.id == id
    assert entry.version >= 1
    assert entry.title
    assert entry.source


def test_the_default_set_has_knn_linear_and_three_label_sizes_fine_tuned_and_frozen() -> None:
    label_sets: dict[str, tuple[str, int] | None] = {"knn": None, "linear": None}
    for labels, draws in (("1", 10), ("1pct", 5), ("10pct", 3)):
        label_sets |= {f"lowshot-{labels}": (labels, draws), f"lowshot-{labels}-frozen": (labels, draws)}
    assert label_sets.keys() <= set(DEFAULT)
    assert {id: label_sets_of(resolve(id), 10) for id in label_sets} == label_sets


def test_every_protocol_of_the_default_set_is_in_the_catalogue() -> None:
    assert set(DEFAULT) <= ENTRIES.keys()


@pytest.mark.parametrize(
    ("unknown", "nearest"), [("knm", "knn"), ("lowshot-1-frozenn", "lowshot-1-frozen"), ("linaer", "linear")]
)
def test_an_unknown_protocol_gets_the_nearest_as_a_suggestion(unknown: str, nearest: str) -> None:
    with pytest.raises(UnknownProtocol, match=f"did you mean '{nearest}'"):
        resolve(unknown)


@pytest.mark.parametrize("id", ["lowshot-0", "lowshot-101pct", "lowshot-1.5", "scratch-0pct", "lowshot-01"])
def test_impossible_numbers_of_labels_are_refused(id: str) -> None:
    with pytest.raises(UnknownProtocol, match="whole number of images per class"):
        resolve(id)


def test_fewer_labels_get_more_draws() -> None:
    draws = [parse_labels(text).draws for text in ("0.5pct", "1pct", "5pct", "10pct", "100pct")]
    assert draws == [10, 5, 5, 3, 3]
    assert [parse_labels(text).draws for text in ("1", "5", "64")] == [10, 5, 3]


def test_a_total_number_of_labels_is_divided_equally_among_the_classes() -> None:
    assert label_sets_of(resolve("pseudolabel-1000+2000"), 10) == ("100", 3)


def test_an_id_that_is_taken_is_refused() -> None:
    add(ENTRIES["knn"])
    with pytest.raises(ValueError, match="the id is already taken"):
        add(Entry("knn", 1, "mine", "me", "mine"))


def test_a_module_without_a_protocol_is_named() -> None:
    with pytest.raises(ValueError, match=r"protocols\.parts\.labels defines 0 protocols"):
        load(Entry("mine", 1, "mine", "me", "protocols.parts.labels"))
    with pytest.raises(ValueError, match="no_such_module"):
        load(Entry("mine", 1, "mine", "me", "no_such_module"))
