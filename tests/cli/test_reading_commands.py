"""`leaderboard`, `compare`, `show` and `list` on results folders as users have them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bench.cli.program import app
from bench.errors import SslbenchError
from bench.filenames import slug
from bench.records.record import DataFacts, Record
from bench.records.store import Store

Campaign = Callable[..., list[Record]]
Command = Callable[..., Result]


@pytest.fixture
def sslbench(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call a command in this process, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)

    return call


def written(folder: Path, records: list[Record]) -> Path:
    for record in records:
        Store(folder).write(record)
    return folder


@pytest.fixture
def results(tmp_path: Path, campaign: Campaign) -> Path:
    return written(tmp_path / "results", campaign({"random_init": -0.8, "simclr": 0.5}, images=40, columns=("knn",)))


def test_a_folder_that_cannot_be_written_still_shows_its_tables(sslbench: Command, results: Path) -> None:
    (results / "leaderboard.md").mkdir()
    done = sslbench("leaderboard", "--results", results)
    assert done.exit_code == 0 and "simclr" in done.stdout
    assert re.fullmatch(r"sslbench: the tables were not written: cannot write \S+leaderboard\.md: .*\n", done.stderr)


def test_latex_has_costs_on_request_and_formats_that_always_have_them_refuse_the_option(
    sslbench: Command, results: Path
) -> None:
    arguments = ("leaderboard", "--results", results, "--format")
    assert "pretrain s" not in sslbench(*arguments, "latex").stdout
    assert "pretrain s" in sslbench(*arguments, "latex", "--costs").stdout
    assert "pretrain" not in sslbench(*arguments, "table", "--no-costs").stdout
    assert "pretrain s" not in sslbench(*arguments, "markdown", "--no-costs").stdout
    refused = sslbench(*arguments, "csv", "--no-costs").exception
    assert isinstance(refused, SslbenchError) and "always has the costs" in str(refused)


def test_gaps_are_shown_on_request_and_formats_that_always_have_them_refuse_the_option(
    sslbench: Command, tmp_path: Path, campaign: Campaign
) -> None:
    records = campaign({"byol": 0.1, "simclr": 0.5}, seeds=(0, 1), images=40, columns=("knn",))
    arguments = ("leaderboard", "--results", written(tmp_path / "results", records), "--format")
    for name in ("table", "markdown", "latex"):
        texts = [" ".join(sslbench(*arguments, name, *more).stdout.split()) for more in ((), ("--gaps",))]
        assert ["how far it is below the best" in text for text in texts] == [False, True]
        assert len(re.findall(r"\d\.\d \[\d+\.\d, \d+\.\d\]", texts[1])) == 2
    assert "knn_gap_low" in sslbench(*arguments, "csv").stdout
    refused = sslbench(*arguments, "json", "--gaps").exception
    assert isinstance(refused, SslbenchError) and "always has the gaps" in str(refused)


@pytest.mark.parametrize("name", ["My Birds", "my_birds.zip", "birds.v2"])
def test_a_folder_is_selected_by_the_name_that_run_took(
    sslbench: Command, tmp_path: Path, campaign: Campaign, name: str
) -> None:
    path = tmp_path / name
    if path.suffix == ".zip":
        path.write_text("")
    else:
        path.mkdir()
    recorded = slug("folder:" + (path.stem if path.is_file() else path.name), "abcdef0123")
    records = [
        replace(r, identity=replace(r.identity, dataset=dataset))
        for r, dataset in zip(
            campaign({"simclr": 0.5, "byol": 0.3}, images=40, columns=("knn",)), (recorded, "digits"), strict=True
        )
    ]
    results = written(tmp_path / "results", records)
    done = sslbench("leaderboard", "--results", results, "--dataset", f"folder:{path}")
    assert done.exit_code == 0 and "simclr" in done.stdout and "byol" not in done.stdout
    assert recorded in done.stderr
    unknown = sslbench("leaderboard", "--results", results, "--dataset", "folder:other").exception
    assert isinstance(unknown, SslbenchError) and "unknown dataset 'folder:other'" in str(unknown)


def test_folders_without_a_common_row_are_said_to_have_nothing_in_common(
    sslbench: Command, results: Path, tmp_path: Path, campaign: Campaign
) -> None:
    records = campaign({"moco": 0.5, "byol": 0.4}, images=40, columns=("knn",), identity={"budget": "quick"})
    done = sslbench("compare", results, written(tmp_path / "other", records))
    text = " ".join(done.stdout.split())
    assert done.exit_code == 0 and "nothing in common" in text and "0 of 0" not in text
    assert "digits, resnet9_slim, standard (2 rows)" in text and "digits, resnet9_slim, quick (2 rows)" in text


def test_show_has_the_recipe_the_images_the_notes_the_plugin_and_the_log(
    sslbench: Command, tmp_path: Path, campaign: Campaign
) -> None:
    (record,) = campaign({"mine": 0.5}, columns=(), status="failed", cause="ValueError: no")
    record = replace(
        record,
        group="floor and ceiling",
        recipe={"optimizer": "adamw", "rate": 0.002, "betas": [0.9, 0.999], "settings": {"temperature": 0.5}},
        data=DataFacts(1438, 143, 359, 20, 3),
        notes=["weights of ImageNet"],
        identity=replace(record.identity, plugin="3f2a" * 16),
    )
    results = written(tmp_path / "results", [record])
    log = Store(results).log_path(record.identity)
    assert "traceback" not in sslbench("show", "mine", "--results", results).stdout
    log.parent.mkdir(parents=True)
    log.write_text("…")
    for arguments in (("mine", "--results", results), (Store(results).record_path(record.identity),)):
        text = sslbench("show", *arguments).stdout
        assert log.name in text.replace("\n", "") and "traceback" in text.replace("\n", "")
        plain = " ".join(text.split())
        for part in (
            "optimizer adamw",
            "rate 0.002",
            "temperature 0.5",
            "train 1,438 (val 143 of them), test 359, unlabelled 20, 3 of test also in train",
            "Note: weights of ImageNet",
            "floor and ceiling (not ranked)",
            "content 3f2a3f2a",
        ):
            assert part in plain, part


@pytest.mark.parametrize("kind", ["methods", "protocols", "datasets", "backbones", "studies"])
@pytest.mark.parametrize("columns", ["40", "80", "160"])
def test_no_name_and_no_link_of_a_list_is_broken(
    sslbench: Command, monkeypatch: pytest.MonkeyPatch, kind: str, columns: str
) -> None:
    rows = json.loads(sslbench("list", kind, "--format", "json").stdout)
    monkeypatch.setenv("COLUMNS", columns)
    text = sslbench("list", kind).stdout
    for row in rows:
        names = [str(value) for value in row.values() if value is not None and not isinstance(value, bool)]
        for word in {word for name in names for word in name.split()}:
            assert word in text.split() or word in text, word
    assert all(len(line) <= max(int(columns), 80) for line in text.splitlines())


def test_the_tables_explain_their_words(sslbench: Command, tmp_path: Path, campaign: Campaign) -> None:
    records = campaign({"random_init": -0.8, "simclr": 0.5}, identity={"task": "val"})
    records += campaign({"simclr": 0.5}, settings={"temperature": 0.2}, identity={"task": "val"})
    elsewhere = {"task": "val", "backbone": "own", "budget": "none", "epochs": 0, "batch": 0}
    records += campaign({"timm-vit-1f2e3d4c": 1.0}, identity=elsewhere)
    text = " ".join(sslbench("leaderboard", "--on", "val", "--results", written(tmp_path, records)).stdout.split())
    for part in (
        "development task",
        "a part of the training images that is kept for choices; never ranked",
        "changed settings (named after the +)",
        "pretrained elsewhere (encoders that sslbench did not train)",
        "floor and ceiling (not trained, or trained with labels)",
    ):
        assert part in text
