import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.errors import SslbenchError
from bench.records.lookup import find
from bench.records.record import Measurement, Record
from bench.records.store import Store
from bench.reports.line_plot import draw
from bench.reports.record import to_screen

Campaign = Callable[..., list[Record]]


@pytest.fixture
def store(tmp_path: Path, campaign: Campaign) -> Store:
    store = Store(tmp_path)
    for record in campaign({"simclr": 0.5, "byol": 0.3}, seeds=(0, 1), images=40, columns=("knn",)):
        store.write(record)
    for record in campaign({"simclr": 0.4}, images=40, columns=("knn",), settings={"temperature": 0.2}):
        store.write(record)
    return store


@pytest.mark.parametrize(
    "run",
    [
        "digits/resnet9_slim/standard/byol/seed-1",
        "digits/resnet9_slim/standard/byol/seed-1.json",
        "byol/seed-1",
        "standard/byol/seed-1",
    ],
)
def test_a_record_is_found_by_its_path_or_part_of_it(store: Store, run: str) -> None:
    found = find(store, run).identity
    assert (found.method, found.seed) == ("byol", 1)


def test_a_record_is_found_by_the_path_of_its_file(store: Store) -> None:
    path = next(path for path in store.paths() if "temperature" in str(path))
    assert find(Store(Path("nowhere")), str(path)).identity.settings == {"temperature": 0.2}


def test_part_of_a_name_is_enough_if_it_is_unique(store: Store) -> None:
    assert find(store, "temperature").identity.settings == {"temperature": 0.2}


def test_an_ambiguous_name_lists_the_candidates(store: Store) -> None:
    with pytest.raises(SslbenchError, match="matches 2 records") as caught:
        find(store, "simclr")
    assert "simclr/seed-0" in str(caught.value) and "simclr/seed-1" in str(caught.value)
    assert "temperature" not in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_name_suggests_the_nearest(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SslbenchError, match="did you mean 'simclr'"):
        find(store, "simlcr")
    with pytest.raises(SslbenchError, match="no records in"):
        find(Store(tmp_path / "empty"), "simclr")


def test_a_file_that_is_not_a_record_is_reported(store: Store, tmp_path: Path) -> None:
    (tmp_path / "foreign.json").write_text("{}")
    with pytest.raises(SslbenchError, match=r"foreign\.json cannot be shown: not a record"):
        find(store, str(tmp_path / "foreign.json"))


@pytest.mark.parametrize("width", [80, 140])
def test_a_record_is_shown_in_full(campaign: Campaign, width: int) -> None:
    (record,) = campaign({"simclr": 0.5})
    extra = {"rankme": Measurement(1, metrics={"rankme": 41.234}), "lowshot-1pct": Measurement(1, same_as="lowshot-1")}
    linear = replace(record.protocols["linear"], choices={"penalty": 0.001}, variants={"k=1": {"top1": 0.5}})
    record = replace(
        record, status="collapsed", cause="too flat", protocols=record.protocols | extra | {"linear": linear}
    )
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(to_screen(record, width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in text.splitlines()) <= width
    top = f"{100 * record.protocols['lowshot-1'].metrics['top1']:.2f}"
    for part in (
        "collapsed: too flat",
        "a1b2c3d4",
        top,
        "chance",
        "41.23",
        "penalty = 0.001",
        "k=1: 50.00",
        "= lowshot-1",
    ):
        assert part in text
    assert "step 297" in text and "bf16-mixed" in text


def test_a_failed_run_without_measurements_is_shown(campaign: Campaign) -> None:
    (record,) = campaign({"simclr": 0.5}, columns=(), status="failed", cause="out of memory")
    console = Console(width=80, file=io.StringIO())
    console.print(to_screen(replace(record, curve={}, environment={}), 80))
    assert "failed: out of memory" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_falling_curve_is_drawn_falling() -> None:
    lines = draw([0, 10, 20, 30], [4.0, 3.0, 2.0, 1.0], width=40, height=4).splitlines()
    first_dots = [next(i for i, c in enumerate(line) if 0x2800 < ord(c) <= 0x28FF) for line in lines[:4]]
    assert first_dots == sorted(first_dots) and first_dots[0] < first_dots[-1]
    assert lines[0].startswith("4 ┤") and lines[3].startswith("1 ┤") and lines[4].endswith("step 30")
    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize("values", [[], [math.nan], [1.0], [2.0, 2.0], [1.0, math.inf, 0.5]])
def test_any_curve_can_be_drawn(values: list[float]) -> None:
    text = draw(list(range(len(values))), values, width=30, height=3)
    assert ("not finite" in text or "no finite value" in text) == (not all(map(math.isfinite, values)) or not values)
