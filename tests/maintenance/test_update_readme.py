"""The blocks that ``make readme`` writes: the best rows, the methods without records, and three figures on speed."""

import json
from dataclasses import replace

import pytest

from bench import HARNESS_VERSION
from bench.backbones.catalogue import find
from bench.errors import SslbenchError
from bench.leaderboard.build import build
from bench.maintenance import update_readme
from bench.maintenance.update_readme import best_rows, with_leaderboards, with_throughput
from bench.records.record import Identity, Measurement, Record
from bench.records.store import Store
from protocols.catalogue import resolve

README = """# Title

<!-- leaderboard: digits/resnet9_slim/quick top 2 (written by `make readme`, do not edit) -->
old
<!-- end of leaderboard -->

between

<!-- throughput: 2-cores (written by `make readme`, do not edit) -->
old
<!-- end of throughput -->
"""


@pytest.fixture
def results(tmp_path):
    """Records of three methods, one of them on a transformer, and the floor."""
    for method, backbone, top1, correct in (
        ("simclr", "resnet9_slim", 0.9, "/4A="),
        ("byol", "resnet9_slim", 0.8, "/wA="),
        ("moco", "resnet9_slim", 0.7, "/gA="),
        ("random_init", "resnet9_slim", 0.6, "/AA="),
        ("mae", "vit_nano", 0.5, "+AA="),
    ):
        version = find(backbone).version
        identity = Identity("digits", "f00d", "test", method, 1, backbone, version, HARNESS_VERSION, "quick", 5, 256, 0)
        protocols = {
            name: Measurement(resolve(name).version, {"top1": top1}, [{"top1": top1}], correct=[correct], images=10)
            for name in ("knn", "linear", "lowshot-1", "lowshot-1-frozen")
        }
        Store(tmp_path).write(Record(identity, "ok", protocols=protocols, classes=10))
    return tmp_path


def test_a_block_has_the_best_rows_the_floor_and_no_other_text_changes(results):
    text = with_leaderboards(README, results)
    assert text.startswith("# Title\n\n<!-- leaderboard: digits/resnet9_slim/quick top 2 ")
    assert "\n\nbetween\n\n" in text
    methods = [line.split(" | ")[1].replace("‡", "") for line in text.splitlines() if line.startswith("|")][2:]
    assert methods == ["simclr", "byol", "*random_init*"]
    assert "The best 2 of 3 methods, by rank." in text
    assert "pretrain s" in text
    assert "peak MB" not in text
    assert with_leaderboards(text, results) == text, "writing twice changes nothing"


@pytest.mark.usefixtures("only_the_catalogue")
def test_methods_without_a_record_are_named(results, monkeypatch):
    (line,) = [line for line in with_leaderboards(README, results).splitlines() if line.startswith("Not recorded")]
    named = line.removeprefix("Not recorded here yet: ").removesuffix(".").split(", ")
    assert "vicreg" in named
    assert not {"simclr", "mae", "random_init"} & set(named), "a record on another backbone counts"
    monkeypatch.setattr(update_readme, "method_names", lambda: ["simclr", "a_plugin"])
    assert "Not recorded" not in with_leaderboards(README, results)


def test_notes_about_hidden_rows_and_columns_are_left_out(campaign, current):
    records = campaign({"best": 2.0}, seeds=(0, 1)) + campaign({"second": 1.0, "third": 0.0})
    (table,) = build(records, current).tables
    assert "(second, third)" in table.notes[-1]
    short = best_rows(replace(table, notes=("third diverged: NaN", "best ran on a GPU.", *table.notes)), 2)
    assert [row.method for row in short.rows] == ["best", "second"]
    assert short.notes == ("best ran on a GPU.", table.notes[-1].replace("second, third", "second"))
    assert {column.id for column in short.columns} <= set(update_readme.COLUMNS)


def test_a_block_of_an_unknown_data_set_is_an_error(results):
    with pytest.raises(SslbenchError, match="digits"):
        with_leaderboards(README.replace("digits", "digit"), results)


def test_a_throughput_block_has_the_figures_of_its_file(tmp_path):
    engines = {name: {"images_per_s": rate} for name, rate in (("bare step", 200.0), ("harness", 190.0))}
    (tmp_path / "2-cores.json").write_text(json.dumps({"groups": {"end to end: SimCLR": {"simclr": engines}}}))
    text = with_throughput(README, tmp_path)
    assert "- training, SimCLR: 190 images/s; 95% of the speed of a bare step\n" in text
    with pytest.raises(SslbenchError, match="make throughput"):
        with_throughput(README.replace("2-cores", "3-cores"), tmp_path)


def test_without_a_leaderboard_block_the_command_fails(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("# Title\n")
    monkeypatch.setattr(update_readme, "ROOT", tmp_path)
    with pytest.raises(SslbenchError, match="has no block"):
        update_readme.update()
