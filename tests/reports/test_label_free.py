"""``sslbench label-free``, its block in the notes, and its pictures."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import altair
import pytest
import vl_convert
from typer.testing import CliRunner

from bench.cli.program import app
from bench.leaderboard.build import build, current_versions
from bench.leaderboard.label_free import FEWEST
from bench.maintenance.update_readme import with_label_free
from bench.records.record import Measurement, Record
from bench.records.store import Store
from bench.reports.pictures import label_free

Campaign = Callable[..., list[Record]]
METHODS = ("simclr", "byol", "moco", "nnclr", "dcl", "swav", "vicreg", "mmcr")
NOTES = "# Notes\n\n<!-- label-free (written by `make readme`) -->\nold\n<!-- end of label-free -->\n\nafter\n"


@pytest.fixture
def records(campaign: Campaign) -> list[Record]:
    """Eight methods whose RankMe and alignment both rise with their accuracy, and eight runs of SimCLR with other settings."""
    found = campaign({m: 0.4 * i for i, m in enumerate(METHODS)}, columns=("knn", "linear"), images=300, noise=0)
    figured = [
        replace(
            r,
            protocols=r.protocols | {n: Measurement(1, {n: 1.0 + i}) for n in ("rankme", "alignment")},
            curve={"step": [1.0], "loss": [9.5]},
        )
        for i, r in enumerate(found)
    ]
    for at in range(FEWEST):
        (run,) = campaign({"simclr": 0.4 * at}, columns=("knn", "linear"), images=300, settings={"a|<b>": at}, noise=0)
        figured.append(replace(run, curve={"step": [1.0], "loss": [9.0 - at]}))
    return figured


@pytest.fixture
def results(tmp_path: Path, records: list[Record]) -> Path:
    for record in records:
        Store(tmp_path).write(record)
    return tmp_path


@pytest.mark.parametrize("format", ["table", "markdown"])
def test_the_command_names_methods_intervals_and_what_is_surprising(
    results: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["label-free", "--results", str(results), "--format", format])
    assert done.exit_code == 0, done.output
    shown = " ".join(done.stdout.replace("\\", "").split())
    assert "digits, resnet9_slim, standard" in shown and "Over 8 methods." in shown
    value = r"\(0\.9\d\)"
    assert re.search(f"in the declared direction: rankme with knn {value}, rankme with linear {value}\\.", shown)
    assert re.search(
        f"Surprising, cause unknown: clear, but .* direction: alignment with knn {value}, alignment", shown
    )
    assert re.search(r"by alignment \(simclr\), [\d.]+ by rankme \(mmcr\); the median method is", shown)
    assert "A lower final loss goes with a higher accuracy (clear): simclr with knn, simclr with linear." in shown
    assert "losses of different methods have different meanings" in shown


def test_a_table_with_nothing_to_correlate_says_how_to_measure_it(tmp_path: Path, campaign: Campaign) -> None:
    for record in campaign({"simclr": 0.5, "byol": 0.1}, columns=("knn",)):
        Store(tmp_path).write(record)
    done = CliRunner().invoke(app, ["label-free", "--results", str(tmp_path)])
    assert done.exit_code == 0 and "--protocol rankme" in " ".join(done.stdout.split())


def test_the_block_of_the_notes_is_replaced_and_nothing_else(results: Path) -> None:
    text = with_label_free(NOTES, results)
    assert text.startswith("# Notes\n\n<!-- label-free (written by `make readme`) -->\n\n**digits, resnet9_slim")
    assert text.endswith("\n<!-- end of label-free -->\n\nafter\n") and "old" not in text
    assert "| rankme | knn | 0.9" in text and "a\\|\\<b\\>" in text
    assert with_label_free(text, results) == text, "writing twice changes nothing"


def test_the_pictures_can_be_drawn_and_their_tables_have_the_numbers(records: list[Record]) -> None:
    (table,) = build(records, current_versions(), all_protocols=True).tables
    found = {picture.title: picture for picture in label_free.pictures(table, records)}
    assert list(found) == [
        "Label-free figures against accuracy",
        "alignment against accuracy",
        "rankme against accuracy",
        "Final loss against accuracy, within methods",
    ]
    for picture in found.values():
        (altair.LayerChart if "layer" in picture.chart else altair.Chart).from_dict(picture.chart, validate=True)
        assert vl_convert.vegalite_to_svg(json.dumps({**picture.chart, "width": 600})).startswith("<svg")
        assert picture.caption.endswith(".") and all(len(row) == len(picture.headings) for row in picture.rows)
    scores = {r.identity.method: r.protocols for r in records if not r.identity.settings}
    for name, figure, knn, linear in found["rankme against accuracy"].rows:
        assert isinstance(name, str) and figure == scores[name]["rankme"].metrics["rankme"]
        assert [knn, linear] == [
            pytest.approx(100 * scores[name][c].metrics["top1"], abs=0.01) for c in ("knn", "linear")
        ]
