"""Constants that make no sense are refused before anything is computed, by the ranges that the protocols declare."""

from dataclasses import dataclass, replace

import pytest

from protocols.base import EvaluationProtocol
from protocols.catalogue import ENTRIES, check_constants, resolve
from protocols.ranges import outside

ON_REQUEST = [
    "lowshot-64",
    "lowshot-5-mlp",
    "lowshot-5-frozen-conv",
    "scratch-10pct",
    "pseudolabel-5",
    "pseudolabel-100+200",
]


@pytest.mark.parametrize("id", [*ENTRIES, *ON_REQUEST, "knn@k=1", "linear@rise=0.1", "lowshot-1@training.trunk_rate=0"])
def test_the_constants_of_the_catalogue_and_sensible_changes_are_accepted(id: str) -> None:
    check_constants(resolve(id))


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("knn@k=0", "k is at least 1, not 0"),
        ("knn@k=-3", "k is at least 1, not -3"),
        ("knn@temperature=0", "temperature is above 0, not 0.0"),
        ("knn@temperature=1e999", "temperature is a finite number, not inf"),
        ("linear@tolerance=0", "tolerance is above 0"),
        ("linear@rise=-0.1", "rise is at least 0"),
        ("linear@penalties=()", "penalties has at least 1 entries"),
        ("lowshot-1@training.batch=0", "training.batch is at least 1"),
        ("lowshot-1@training.steps=10000000000", "training.steps is at most 1,000,000"),
        ("lowshot-1@training.optimizer=adam", "training.optimizer is one of sgd, adamw, not 'adam'"),
        ("lowshot-1@training.trunk_rate=-1", "training.trunk_rate is at least 0"),
        ("lowshot-1-frozen@penalty=0", "penalty is above 0"),
        ("lowshot-5-mlp@start=probe", "start=probe needs a penalty and a tolerance"),
        ("pseudolabel-5@threshold=1.5", "threshold is at most 1"),
        ("linear-sgd@epochs=0", "epochs is at least 1"),
        ("rankme@images=1", "images is at least 2"),
    ],
)
def test_a_change_that_makes_no_sense_is_one_line(id: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_constants(resolve(id))
    assert str(caught.value).startswith(f"protocol '{id}': ")
    assert "\n" not in str(caught.value)


def test_a_training_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="steps and passes are both 0"):
        resolve("lowshot-1@training.steps=0,training.passes=0")


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"k": 20, "temperature": 0.07, "shared": 1, "other_k": (1, 0)}, "each other_k is at least 1, not 0"),
        ({"k": 20.5, "temperature": 0.07, "shared": 1}, "k is a whole number, not 20.5"),
        ({"k": True, "temperature": 0.07, "shared": 1}, "k is a whole number, not True"),
        ({"k": "20", "temperature": 0.07, "shared": 1}, "k is a whole number, not '20'"),
        ({"k": 20, "temperature": float("nan"), "shared": 1}, "temperature is a finite number"),
        ({"k": 20, "temperature": 0.07, "shared": 1, "metric": "cosine"}, "metric is no constant of Knn"),
        ({"k": 20, "temperature": 0.07}, "shared"),
    ],
)
def test_an_entry_of_a_plugin_with_wrong_constants_is_one_line(constants: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_constants(replace(ENTRIES["knn"], id="mine", constants=constants))
    assert str(caught.value).startswith("protocol 'mine': ")
    assert "\n" not in str(caught.value)


def test_a_protocol_that_declares_nothing_is_not_checked() -> None:
    class Plain(EvaluationProtocol):
        def __init__(self, k: int) -> None:
            self.k = k

    @dataclass
    class Undeclared(EvaluationProtocol):
        names: list[str]

    assert outside(Plain, {"k": 0}) is None
    assert outside(Undeclared, {"names": []}) is None
