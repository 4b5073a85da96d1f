"""Measurements on another data set are in tables of their own, with the statistics of any table, and change no other table."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from bench.leaderboard.build import build, current_versions
from bench.leaderboard.compare import compare
from bench.leaderboard.tables import Leaderboard
from bench.records.record import DataFacts, Measurement, Record, Transfer
from bench.records.record_json import UnreadableRecord, from_json, to_json
from bench.reports import leaderboard as terminal
from bench.reports import record as one_record
from bench.reports.formats import to_csv, to_latex, to_markdown
from bench.reports.formats import to_json as board_json
from bench.reports.page.collect import Folder, all_tables, collect
from bench.reports.page.command import repeating
from bench.reports.page.document import to_html
from protocols.catalogue import DEFAULT
from protocols.transfer import PROTOCOLS, parse_transfer, transfer_id

Campaign = Callable[..., list[Record]]
METHODS = {"pixels": -1.0, "random_init": -0.8, "simclr": 0.6, "byol": 0.3, "vicreg": 0.5}
SEEDS = (0, 1, 2)
IMAGES = 300
SCHEMAS = Path(__file__).resolve().parents[2] / "results"


def on(
    record: Record, other: Record, fingerprint: str = "beefbeef", dataset: str = "fashion_mnist", seen: int = 0
) -> Record:
    """A record that was also measured on another data set, with the answers of another record."""
    transfer = Transfer(dataset, fingerprint, 10, DataFacts(1000, 100, IMAGES, 0, 0), seen)
    measured = {transfer_id(dataset, name): replace(other.protocols[name], transfer=transfer) for name in PROTOCOLS}
    return replace(record, protocols=record.protocols | measured)


@pytest.fixture
def own(campaign: Campaign) -> list[Record]:
    return campaign(METHODS, seeds=SEEDS)


@pytest.fixture
def others(campaign: Campaign) -> list[Record]:
    """Records with the answers on the other data set."""
    return campaign(METHODS, seeds=SEEDS, images=IMAGES, luck=5, identity={"fingerprint": "0dd"})


@pytest.fixture
def board(own: list[Record], others: list[Record]) -> Leaderboard:
    return build([on(*pair) for pair in zip(own, others, strict=True)], current_versions())


def test_no_other_table_changes(own: list[Record], board: Leaderboard, others: list[Record]) -> None:
    without = build(own, current_versions())
    assert board.tables == without.tables and board.stale == () and without.transfers == ()
    records = [on(*pair) for pair in zip(own, others, strict=True)]
    (table,) = build(records, current_versions(), all_protocols=True).tables
    assert [column.id for column in table.columns] == list(DEFAULT)
    assert {name for row in compare(records, records, current_versions()).rows for name in row.pairs} == set(DEFAULT)


def test_a_pair_has_the_statistics_of_an_ordinary_table_of_the_same_answers(
    board: Leaderboard, others: list[Record]
) -> None:
    (table,) = board.transfers
    assert (table.dataset, table.measured_on, table.images, table.classes) == ("digits", "fashion_mnist", IMAGES, 10)
    assert [column.id for column in table.columns] == list(PROTOCOLS)
    (ordinary,) = build(others, current_versions()).tables
    expected = {row.label: {name: row.scores[name] for name in PROTOCOLS} for row in ordinary.rows}
    assert {row.label: row.scores for row in table.rows} == expected
    assert any(score.could_be_best for row in table.rows for score in row.scores.values())
    assert {row.rank for row in table.rows} == {None} and {row.rank_interval for row in table.rows} == {None}


def test_other_images_of_the_same_name_backbones_and_budgets_are_tables_of_their_own(
    own: list[Record], others: list[Record]
) -> None:
    pairs = list(zip(own, others, strict=True))
    records = [on(record, other, "beefbeef" if record.identity.seed else "f00df00d") for record, other in pairs]
    records += [
        on(replace(record, identity=replace(record.identity, backbone="mlp")), other, dataset="mnist")
        for record, other in pairs
    ]
    tables = build(records, current_versions()).transfers
    assert [(t.backbone, t.measured_on, t.measured_on_fingerprint) for t in tables] == [
        ("mlp", "mnist", "beefbeef"),
        ("resnet9_slim", "fashion_mnist", "beefbeef"),
        ("resnet9_slim", "fashion_mnist", "f00df00d"),
    ]
    assert {row.seeds for row in tables[1].rows} == {(1, 2)}
    assert any("different data sets named fashion_mnist" in note for note in tables[1].notes)


def test_an_older_version_of_a_protocol_leaves_out_only_its_transfer(own: list[Record], others: list[Record]) -> None:
    record = on(own[6], others[6], seen=7)
    name = transfer_id("fashion_mnist", "linear")
    old = replace(record, protocols=record.protocols | {name: replace(record.protocols[name], version=1)})
    found = build([old], current_versions())
    assert [column.id for column in found.transfers[0].columns] == ["knn", "lowshot-1pct-frozen"]
    assert name in str(found.stale[0]) and len(found.tables[0].columns) == len(DEFAULT)
    assert any(note.startswith("7 of the images") for note in found.transfers[0].notes)


def test_every_format_has_the_pair_and_keeps_it_apart(own: list[Record], board: Leaderboard) -> None:
    data = json.loads(board_json(board))
    Draft202012Validator(json.loads((SCHEMAS / "leaderboard.schema.json").read_text())).validate(data)
    assert [table["measured_on"] for table in data["transfers"]] == ["fashion_mnist"]
    lines = list(csv.DictReader(io.StringIO(to_csv(board))))
    pair = [line for line in lines if line["measured_on"]]
    assert len(pair) == len(METHODS) and {line["knn"] for line in pair} == {""}
    assert all(line["transfer-knn"] for line in pair) and {line["transfer-knn"] for line in lines if line["knn"]} == {
        ""
    }
    assert to_csv(replace(board, transfers=())) == to_csv(build(own, current_versions()))
    assert "### digits → fashion_mnist, resnet9_slim, standard" in to_markdown(board)
    assert r"digits $\rightarrow$ fashion\_mnist, resnet9\_slim" in to_latex(board)
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(terminal.to_screen(board, 160))
    shown = console.export_text()
    assert "digits → fashion_mnist, resnet9_slim, standard" in shown
    assert "on 300 test images of fashion_mnist, by encoders of digits" in shown
    assert "Not compared with the best: floor and ceiling" in shown


def test_the_page_and_one_record_show_the_pair(own: list[Record], others: list[Record], tmp_path: Path) -> None:
    records = [on(*pair, dataset="npz-birds-1a2b3c4d") for pair in zip(own, others, strict=True)]
    folder = Folder(tmp_path, records)
    text = to_html(collect([folder], all_tables(folder)))
    assert "digits → npz-birds-1a2b3c4d, resnet9_slim, standard" in text
    assert "--measure-on OTHER" in text and "the images that the table calls npz-birds-1a2b3c4d" in text
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(one_record.to_screen(records[0], 160))
    assert "Measured on npz-birds-1a2b3c4d" in console.export_text()


def test_the_command_of_a_row_names_the_other_data_set(own: list[Record], others: list[Record]) -> None:
    simclr = [on(r, o) for r, o in zip(own, others, strict=True) if r.identity.method == "simclr"]
    text, placeholders = repeating(simclr, DEFAULT)
    assert text.endswith("--budget standard --measure-on fashion_mnist --seeds 3") and placeholders == ()


def test_a_record_survives_its_json_and_contradictions_are_refused(own: list[Record], others: list[Record]) -> None:
    record = on(own[0], others[0])
    text = to_json(record)
    Draft202012Validator(json.loads((SCHEMAS / "record.schema.json").read_text())).validate(json.loads(text))
    assert from_json(text) == record
    name = transfer_id("fashion_mnist", "knn")
    found = record.protocols[name]
    assert found.transfer is not None

    def changed(key: str, measurement: Measurement) -> str:
        return to_json(replace(record, protocols={key: measurement}))

    own_images = replace(found.transfer, fingerprint=record.identity.fingerprint)
    fewer = replace(found.transfer, data=replace(found.transfer.data, test=299))
    for wrong, why in (
        (changed("knn", found), "does not name the data set"),
        (changed(name, replace(found, transfer=None)), "does not name the data set"),
        (changed(transfer_id("mnist", "knn"), found), "does not name the data set"),
        (changed("transfer-<script>-knn", found), "does not name the data set"),
        (changed(name, replace(found, transfer=own_images)), "fingerprint of the run's own data set"),
        (changed(name, replace(found, transfer=fewer)), "has 299 test images"),
    ):
        with pytest.raises(UnreadableRecord, match=why):
            from_json(wrong)


@pytest.mark.parametrize(
    "dataset", ["mnist", "folder-my-knn-1a2b3c4d", "npz-x-lowshot-1pct-frozen", "transfer-a-linear"]
)
def test_an_id_names_its_data_set_and_protocol_whatever_the_set_is_called(dataset: str) -> None:
    for protocol in PROTOCOLS:
        assert parse_transfer(transfer_id(dataset, protocol)) == (dataset, protocol)
