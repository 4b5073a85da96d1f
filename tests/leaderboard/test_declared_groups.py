"""Groups, plugins, equal scores, unequal classes and the comparison with the untrained network."""

import base64
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.leaderboard.build import CurrentVersions, build
from bench.leaderboard.tables import Row, Table
from bench.records.record import DataFacts, Measurement, Record
from bench.reports.formats import to_csv, to_json, to_latex, to_markdown
from protocols.catalogue import resolve

Campaign = Callable[..., list[Record]]


def table_of(records: list[Record], current: CurrentVersions, **how: bool) -> Table:
    (table,) = build(records, current, **how).tables
    return table


def rows_of(table: Table) -> dict[str, Row]:
    return {row.label: row for row in table.rows}


def with_identity(record: Record, **changed: Any) -> Record:
    return replace(record, identity=replace(record.identity, **changed))


def answered(right: int, images: int, **more: Any) -> Measurement:
    bits = np.arange(images) < right
    top1 = float(bits.mean())
    return Measurement(
        1,
        {"top1": top1},
        [{"top1": top1}],
        correct=[base64.b64encode(np.packbits(bits)).decode()],
        images=images,
        **more,
    )


def test_a_plugin_that_declares_labels_is_never_ranked(campaign: Campaign, current: CurrentVersions) -> None:
    first, second, *others = campaign({"cheat": 9.0, "simclr": 0.5, "byol": 0.4}, seeds=(0, 1))
    cheats = [replace(with_identity(r, plugin="3f" * 32), group="floor and ceiling") for r in (first, second)]
    table = table_of([*cheats, *(replace(r, group="methods") for r in others)], current)
    rows = rows_of(table)
    assert {row.method: (row.group, row.rank is None) for row in table.rows} == {
        "simclr": ("methods", False),
        "byol": ("methods", False),
        "cheat": ("floor and ceiling", True),
    }
    assert {(s.could_be_best, s.gap) for s in rows["cheat@3f3f3f3f"].scores.values()} == {(None, None)}
    assert all(score.could_be_best and score.gap for score in rows["simclr"].scores.values())


def test_records_of_version_1_are_grouped_by_the_names_of_sslbench(
    campaign: Campaign, current: CurrentVersions
) -> None:
    records = campaign({"pixels": -1.0, "random_init": -0.8, "supervised": 0.9, "simclr": 0.5})
    assert {record.group for record in records} == {None}
    groups = {row.method: row.group for row in table_of(records, current).rows}
    assert groups == dict.fromkeys(("pixels", "random_init", "supervised"), "floor and ceiling") | {"simclr": "methods"}


def test_seeds_that_declare_different_groups_are_not_ranked_and_the_row_says_so(
    campaign: Campaign, current: CurrentVersions
) -> None:
    first, second, *others = campaign({"mine": 0.9, "byol": 0.4}, seeds=(0, 1))
    table = table_of([replace(first, group="methods"), replace(second, group="floor and ceiling"), *others], current)
    row = rows_of(table)["mine"]
    assert (row.group, row.rank) == ("floor and ceiling", None)
    assert "seed 0: methods, seed 1: floor and ceiling" in to_markdown(
        build([first, replace(second, group="floor and ceiling")], current)
    )


def test_seeds_of_different_plugin_contents_are_different_rows(campaign: Campaign, current: CurrentVersions) -> None:
    first, second = campaign({"mine": 0.5}, seeds=(0, 1))
    old, new = with_identity(first, plugin="aa" * 32), with_identity(second, plugin="bb" * 32)
    rows = rows_of(table_of([old, new], current))
    assert {label: row.seeds for label, row in rows.items()} == {"mine@aaaaaaaa": (0,), "mine@bbbbbbbb": (1,)}
    text = to_markdown(build([old, new], current))
    assert "@aaaaaaaa" in text and "hash of the plugin's content" in text


def test_scores_of_different_contents_of_a_protocol_are_in_different_columns(
    campaign: Campaign, current: CurrentVersions
) -> None:
    records = campaign({"simclr": 0.5, "byol": 0.3})
    name = "linear-sgd"
    measured = [
        replace(r, protocols=r.protocols | {name: replace(r.protocols["linear"], version=1, plugin=2 * digit)})
        for r, digit in zip(records, ("aaaaaaaa", "bbbbbbbb"), strict=True)
    ]
    table = table_of(measured, current, all_protocols=True)
    assert [column.id for column in table.columns[-2:]] == ["linear-sgd@aaaaaaaa", "linear-sgd@bbbbbbbb"]
    assert all(("linear-sgd@aaaaaaaa" in row.scores) == (row.method == "simclr") for row in table.rows)
    same = table_of([measured[0], replace(measured[1], protocols=measured[0].protocols)], current, all_protocols=True)
    assert same.columns[-1].id == name and all(name in row.scores for row in same.rows)


def test_equal_numbers_of_right_answers_have_equal_ranks(current: CurrentVersions, campaign: Campaign) -> None:
    """1,046 of 1,077 right answers in two distributions over three seeds whose means differ in the last bit."""
    (template,) = campaign({"simclr": 0.0}, columns=())
    counts = {"simclr": (348, 349, 349), "smog": (346, 350, 350), "byol": (340, 340, 340)}
    records = [
        replace(
            with_identity(template, method=method, seed=seed),
            protocols={
                name: replace(answered(right, 359), version=resolve(name).version)
                for name in ("knn", "linear", "lowshot-1")
            },
        )
        for method, found in counts.items()
        for seed, right in enumerate(found)
    ]
    ranks = {
        row.method: row.rank for row in table_of(records, replace(current, default=("knn", "linear", "lowshot-1"))).rows
    }
    assert ranks == {"simclr": 1.5, "smog": 1.5, "byol": 3.0}
    means = {math.fsum(100 * (right / 359) for right in counts[name]) / 3 for name in ("simclr", "smog")}
    assert len(means) == 2, "the two means must differ by rounding for this test to say anything"


@pytest.mark.parametrize("noise", [0.0, 1e-14])
def test_scores_without_stored_answers_are_equal_if_they_are_equal_after_rounding(
    current: CurrentVersions, campaign: Campaign, noise: float
) -> None:
    (template,) = campaign({"simclr": 0.0}, columns=())
    names = ("knn", "linear", "lowshot-1")
    records = [
        replace(
            with_identity(template, method=m),
            protocols={name: Measurement(resolve(name).version, {"top1": top1}) for name in names},
        )
        for m, top1 in (("simclr", 0.9), ("byol", 0.9 + noise), ("moco", 0.8))
    ]
    ranks = {row.method: row.rank for row in table_of(records, replace(current, default=names)).rows}
    assert ranks == {"simclr": 1.5, "byol": 1.5, "moco": 3.0}


@pytest.mark.parametrize(
    ("classes", "largest", "unequal"),
    [(2, 0.997, True), (2, 0.65, True), (2, 0.55, False), (10, 0.1135, False), (10, 0.196, True), (1000, 0.002, False)],
)
def test_tables_of_unequal_classes_show_the_mean_class_accuracy_and_the_largest_class(
    campaign: Campaign, current: CurrentVersions, classes: int, largest: float, unequal: bool
) -> None:
    (record,) = campaign({"simclr": 0.5}, columns=("knn",))
    knn = replace(record.protocols["knn"], metrics={"top1": 0.997, "mean_class": 0.5123}, largest_class=largest)
    board = build([replace(record, classes=classes, protocols={"knn": knn})], current)
    assert board.tables[0].unequal is unequal
    for text in (to_markdown(board), to_latex(board)):
        assert bool(re.search(r"99\.7 \[[\d., ]+\] / 51\.2", text)) is unequal
        assert (f"largest class has {100 * largest:.1f} top-1" in text) is unequal
    assert f'"largest_class": {round(100 * largest, 4)}' in to_json(board)
    assert "51.23" in to_csv(board)


def test_scores_and_rows_that_are_not_above_the_untrained_network_are_marked(
    campaign: Campaign, current: CurrentVersions
) -> None:
    methods = {"pixels": -3.0, "random_init": 0.0, "simclr": 1.5, "broken": -1.5, "supervised": 3.0}
    board = build(campaign(methods, seeds=(0, 1)), current)
    rows = rows_of(board.tables[0])
    above = {name: {score.above_untrained for score in row.scores.values()} for name, row in rows.items()}
    assert above == {
        "pixels": {None},
        "random_init": {None},
        "simclr": {True},
        "broken": {False},
        "supervised": {True},
    }
    assert {name for name, row in rows.items() if row.nothing_above_untrained} == {"broken"}
    text = to_markdown(board)
    assert "| broken‡ |" in text and "| simclr |" in text and "‡ after a score: not higher than that of random" in text


def test_a_row_is_equal_to_the_untrained_network_when_it_gave_the_same_answers(
    campaign: Campaign, current: CurrentVersions
) -> None:
    (untrained,) = campaign({"random_init": 0.0})
    rows = rows_of(table_of([untrained, with_identity(untrained, method="simclr")], current))
    assert {score.above_untrained for score in rows["simclr"].scores.values()} == {False}


def test_without_an_untrained_row_nothing_is_marked(campaign: Campaign, current: CurrentVersions) -> None:
    board = build(campaign({"simclr": 0.5, "byol": -3.0}), current)
    assert {s.above_untrained for row in board.tables[0].rows for s in row.scores.values()} == {None}
    assert "‡" not in to_markdown(board)


def test_a_copied_record_is_not_another_seed(campaign: Campaign, current: CurrentVersions) -> None:
    records = campaign({"simclr": 0.5}, seeds=(0, 1))
    board = build([*records, records[0]], current)
    assert board.tables[0].rows[0].seeds == (0, 1)
    assert ["counted once" in str(stale) for stale in board.stale] == [True]


def test_test_images_that_are_also_training_images_are_said_below_the_table(
    campaign: Campaign, current: CurrentVersions
) -> None:
    old, new = campaign({"simclr": 0.5, "byol": 0.3})
    table = table_of([old, replace(new, data=DataFacts(1438, 143, 360, 0, 17))], current)
    assert any(note.startswith("17 of 360 test images are also training images") for note in table.notes)


def test_notes_of_rows_are_numbered_marks(campaign: Campaign, current: CurrentVersions) -> None:
    first, second, third = campaign({"simclr": 0.5, "byol": 0.3, "moco": 0.2})
    note, other = "running statistics were measured again", "ImageNet images, of which Imagenette is a part"
    board = build([replace(first, notes=[note]), replace(second, notes=[note, other]), third], current)
    text = to_markdown(board).replace("\\", "")
    assert "| simclr [1] |" in text and "| byol [1] [2] |" in text and "| moco |" in text
    assert f"[1] {note}." in text and f"[2] {other}." in text
