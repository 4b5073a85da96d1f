"""Without a backbone each method gets that of its family, and the floor and the ceiling stand beside both."""

from collections.abc import Sequence

import pytest

from bench.data.spec import DatasetSpec
from bench.planning.request import Request
from bench.planning.resolve import resolve

pytestmark = pytest.mark.usefixtures("only_the_catalogue")


def choose_backbones(methods: Sequence[str], backbone: str | None = None) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for wanted in resolve(Request(methods, DatasetSpec("digits"), backbone=backbone)).wanted:
        found.setdefault(wanted.identity.method, set()).add(wanted.identity.backbone)
    return found


def test_all_runs_both_families_and_the_floors_on_both() -> None:
    found = choose_backbones([])
    assert found["simclr"] == {"resnet9_slim"}
    assert found["mae"] == {"vit_nano"}
    for floor in ("pixels", "random_init", "supervised"):
        assert found[floor] == {"resnet9_slim", "vit_nano"}


@pytest.mark.parametrize(
    ("methods", "floor"),
    [
        (["random_init"], {"resnet9_slim"}),
        (["random_init", "simclr"], {"resnet9_slim"}),
        (["random_init", "mae"], {"vit_nano"}),
        (["random_init", "simclr", "mae"], {"resnet9_slim", "vit_nano"}),
    ],
)
def test_a_floor_stands_beside_the_methods_that_are_named(methods: list[str], floor: set[str]) -> None:
    assert choose_backbones(methods)["random_init"] == floor


def test_a_named_backbone_is_that_of_every_run() -> None:
    found = choose_backbones([], "vit_nano")
    assert set.union(*found.values()) == {"vit_nano"}
    assert {"simclr", "mae", "random_init"} <= set(found)
