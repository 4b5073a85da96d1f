from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import SslbenchError
from bench.leaderboard.read import (
    Selection,
    comparison_of,
    leaderboard_of,
    read_comparison,
    read_leaderboard,
    read_records,
)
from bench.records.record import Record
from bench.records.store import Store

Campaign = Callable[..., list[Record]]


@pytest.fixture
def results(tmp_path: Path, campaign: Campaign) -> Path:
    records = campaign({"simclr": 0.5, "byol": 0.3}) + campaign({"mae": 0.4}, identity={"backbone": "vit_nano"})
    records += campaign({"simclr": 0.5}, identity={"task": "val"})
    for record in records:
        Store(tmp_path).write(record)
    return tmp_path


@pytest.mark.parametrize("backbone", [None, "resnet9_slim", "vit_nano"])
def test_several_selections_of_records_read_once_equal_reading_the_folder_for_each(
    results: Path, backbone: str | None
) -> None:
    records, problems = read_records(results)
    selection = Selection(backbone=backbone)
    assert (leaderboard_of(records, selection), problems) == read_leaderboard(results, selection)
    backbones = {table.backbone for table in leaderboard_of(records, selection).tables}
    assert backbones == ({"resnet9_slim", "vit_nano"} if backbone is None else {backbone})
    comparison = comparison_of(records, records, selection)
    assert comparison == read_comparison(results, results, selection)[0]


def test_records_of_the_other_task_are_never_selected(results: Path) -> None:
    records = read_records(results)[0] + read_records(results, "val")[0]
    assert {table.task for table in leaderboard_of(records, Selection()).tables} == {"test"}
    assert {table.task for table in leaderboard_of(records, Selection(task="val")).tables} == {"val"}


def test_an_unknown_name_suggests_the_nearest_and_names_the_folder(results: Path, tmp_path: Path) -> None:
    with pytest.raises(SslbenchError, match="unknown backbone 'vit_nan': did you mean 'vit_nano'") as caught:
        read_leaderboard(results, Selection(backbone="vit_nan"))
    assert str(results) in str(caught.value)
    with pytest.raises(SslbenchError, match=r"no records in \S+: nothing to compare"):
        read_comparison(results, tmp_path / "empty", Selection())
