"""Choice of backbones: by default each method gets one that it can use, and baselines are measured on both kinds."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.in_process import options_of, wanted_runs

from bench.planning.request import Request

pytestmark = pytest.mark.usefixtures("only_the_catalogue")


def backbones_of(methods: Sequence[str], backbone: str | None = None) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for run in wanted_runs(Request(methods, backbone=backbone), options_of(Path("results"))):
        found.setdefault(run.identity.method, set()).add(run.identity.backbone)
    return found


def test_all_methods_get_a_backbone_of_their_kind_and_baselines_get_both() -> None:
    found = backbones_of([])
    assert found["simclr"] == {"resnet9_slim"}
    assert found["mae"] == {"vit_nano"}
    for baseline in ("pixels", "random_init", "supervised"):
        assert found[baseline] == {"resnet9_slim", "vit_nano"}


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        (["random_init"], {"resnet9_slim"}),
        (["random_init", "simclr"], {"resnet9_slim"}),
        (["random_init", "mae"], {"vit_nano"}),
        (["random_init", "simclr", "mae"], {"resnet9_slim", "vit_nano"}),
    ],
)
def test_a_baseline_is_measured_on_the_backbones_of_the_other_methods(methods: list[str], expected: set[str]) -> None:
    assert backbones_of(methods)["random_init"] == expected


def test_a_requested_backbone_is_used_by_every_run() -> None:
    found = backbones_of([], "vit_nano")
    assert set.union(*found.values()) == {"vit_nano"}
    assert {"simclr", "mae", "random_init"} <= set(found)
