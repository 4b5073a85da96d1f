import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from bench.leaderboard.build import CurrentVersions
from bench.leaderboard.compare import compare
from bench.records.record import Record
from bench.reports.comparison import to_screen

Campaign = Callable[..., list[Record]]
METHODS = {"pixels": -1.0, "random_init": -0.8, "supervised": 0.9, "simclr": 0.6, "byol": 0.3}


def test_the_same_records_are_reproduced(campaign: Campaign, current: CurrentVersions) -> None:
    records = campaign(METHODS, seeds=(0, 1))
    found = compare(records, records, current)
    assert found.summary == "reproduced within noise: 5 of 5"
    assert all(pair.p == 1 for row in found.rows for pair in row.pairs.values())


def test_a_new_seed_of_the_same_code_is_within_the_noise_of_three(campaign: Campaign, current: CurrentVersions) -> None:
    reference = campaign(METHODS, seeds=(0, 1, 2))
    summaries = [compare(campaign(METHODS, luck=luck), reference, current).summary for luck in range(1, 11)]
    assert summaries.count("reproduced within noise: 5 of 5") >= 9


def test_a_broken_method_is_found_and_named(campaign: Campaign, current: CurrentVersions) -> None:
    reference = campaign(METHODS, seeds=(0, 1, 2), noise=0.02)
    fresh = campaign(METHODS | {"simclr": -0.9}, luck=3, noise=0.02)
    found = compare(fresh, reference, current)
    assert found.summary == "reproduced within noise: 4 of 5 (not: simclr)"
    pair = next(row for row in found.rows if row.label == "simclr").pairs["linear"]
    assert pair.first is not None and pair.second is not None and pair.first < pair.second


def test_seeds_of_older_versions_are_left_out_and_counted(campaign: Campaign, current: CurrentVersions) -> None:
    new = campaign({"simclr": 0.6}, seeds=(0,), identity={"method_version": 2})
    old = campaign({"simclr": -0.9}, seeds=(1,))
    (row,) = compare(new + old, new, current).rows
    assert row.pairs["linear"].first == row.pairs["linear"].second
    assert "seeds of older versions left out: 1 | 0" in row.notes


def test_only_rows_in_both_folders_are_counted_and_the_others_are_listed(
    campaign: Campaign, current: CurrentVersions
) -> None:
    found = compare(campaign({"simclr": 0.6, "moco": 0.2}), campaign({"simclr": 0.6, "byol": 0.1}), current)
    assert [row.label for row in found.rows] == ["simclr"]
    assert [found.only_first[0][1] == "moco", found.only_second[0][1] == "byol"] == [True, True]


def test_a_run_that_fails_now_is_not_reproduced(campaign: Campaign, current: CurrentVersions) -> None:
    failed = campaign({"simclr": 0.6}, columns=(), status="failed", cause="out of memory")
    assert compare(failed, campaign({"simclr": 0.6}), current).rows[0].differs is True
    assert compare(failed, failed, current).summary == "reproduced within noise: 1 of 1"


@pytest.mark.parametrize("what", ["data", "protocol", "labels"])
def test_scores_that_cannot_be_compared_are_not_tested_and_the_notes_say_why(
    campaign: Campaign, current: CurrentVersions, what: str
) -> None:
    (record,) = campaign({"simclr": 0.6})
    if what == "data":
        other = replace(record, identity=replace(record.identity, fingerprint="ff" * 32))
    else:
        change = {"version": 5} if what == "protocol" else {"label_sets": "others"}
        other = replace(record, protocols={n: replace(m, **change) for n, m in record.protocols.items()})
    (row,) = compare([record], [other], current).rows
    assert row.differs is None
    assert row.notes
    assert compare([record], [other], current).summary == "reproduced within noise: 0 of 1 (not: simclr)"


@pytest.mark.parametrize("width", [80, 160])
def test_both_scores_are_shown_next_to_each_other(campaign: Campaign, current: CurrentVersions, width: int) -> None:
    first, second = campaign({"simclr": 0.6, "byol": 0.1}), campaign({"simclr": -2.0, "byol": 0.1}, luck=2)
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(to_screen(compare(first, second, current), ("results", "other"), width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    tops = [100 * r[0].protocols["linear"].metrics["top1"] for r in (first, second)]
    assert f"{tops[0]:.1f} | {tops[1]:.1f}≠" in text
    pair = compare(first, second, current).rows[1].pairs["linear"]
    assert pair.interval is not None and pair.difference == pytest.approx(tops[0] - tops[1])
    assert f"{pair.difference:+.1f} [{pair.interval[0]:+.1f}, {pair.interval[1]:+.1f}]" in text
    assert "reproduced within noise: 1 of 2 (not: simclr)" in text
    assert max(len(line) for line in text.splitlines()) <= width
