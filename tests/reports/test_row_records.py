"""Which records are behind a row of a table."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.leaderboard.build import build, current_versions
from bench.records.record import Record
from bench.reports.row_records import by_row, current

Campaign = Callable[..., list[Record]]


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_record_of_an_older_version_is_behind_no_row(campaign: Campaign, newest_first: bool) -> None:
    new = campaign({"simclr": 0.5, "byol": 0.6}, seeds=(0, 1), columns=("knn",))
    old = [
        replace(r, identity=replace(r.identity, method_version=0))
        for r in campaign({"simclr": 0.9}, seeds=(0, 1), columns=("knn",))
    ]
    records = [*new, *old] if newest_first else [*old, *new]
    board = build(records, current_versions())
    found = by_row(board.tables[0], current(board, records))
    assert {label: [r.identity.seed for r in of_row] for label, of_row in found.items()} == {
        "simclr": [0, 1],
        "byol": [0, 1],
    }
    assert all(r in new for of_row in found.values() for r in of_row)
