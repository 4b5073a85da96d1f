"""What the page is made of: safe markup, the command that repeats a row, logs, studies, the committed page."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.starting import ROOT, clean_environment
from typer.testing import CliRunner

from bench.cli.program import app
from bench.errors import SslbenchError
from bench.records.record import Record
from bench.records.store import Store
from bench.reports.page.command import repeating
from bench.reports.page.log_excerpt import BYTES, LINES, excerpt
from bench.reports.page.markup import Html, anchor, data, tag
from bench.reports.page.write import NO_PICTURES, write_report
from bench.reports.pictures import runtime
from bench.studies.load import names
from bench.studies.sections import sections
from protocols.catalogue import DEFAULT

Campaign = Callable[..., list[Record]]
REFERENCE = ROOT / "results" / "reference"


def test_text_is_escaped_in_content_attributes_and_data() -> None:
    assert tag("p", "<b>\x1b", title="\"'>&") == Html('<p title="&quot;&#x27;&gt;&amp;">&lt;b&gt;\\x1b</p>')
    assert "</" not in data({"a": "</script><!--"}, id="d").removesuffix("</script>")


def test_ids_are_unique_and_plain() -> None:
    taken: set[str] = set()
    assert [anchor(name, taken) for name in ("a, b", "a/b", "<>", "é\x00")] == ["a-b", "a-b-2", "unnamed", "unnamed-2"]


def test_the_command_repeats_settings_seeds_and_protocols(campaign: Campaign) -> None:
    settings = {"temperature": 0.2, "batch_size": 64, "share": 0.5, "optimizer": "adamw", "crop": [0.5, 1.0]}
    (record,) = campaign({"simclr": 0.5}, seeds=(3,), columns=("knn",), settings=settings)
    text, placeholders = repeating([record], DEFAULT)
    assert text == (
        "sslbench run simclr --dataset digits --backbone resnet9_slim --budget standard --batch-size 64 "
        "--set 'crop=(0.5, 1.0)' --set optimizer=adamw --share 0.5 --set temperature=0.2 --protocol knn --seed 3"
    )
    assert placeholders == ()


def test_the_command_says_what_the_record_cannot_know(campaign: Campaign) -> None:
    (record,) = campaign({"mine": 0.5}, columns=("knn",))
    own = replace(
        record.identity,
        plugin="ab" * 16,
        dataset="folder-birds-0123abcd",
        settings={"extended_from": 60},
        budget="100ep",
    )
    text, placeholders = repeating([replace(record, identity=own)], ("knn",))
    assert text == "sslbench run mine --plugin FILE --dataset DATA --backbone resnet9_slim --budget 60ep --extend 100ep"
    assert [sentence.partition(":")[0] for sentence in placeholders[:2]] == [
        "FILE",
        "DATA",
    ] and "60 epochs" in placeholders[2]


def test_a_log_is_cut_and_only_a_regular_file_is_read(campaign: Campaign, tmp_path: Path) -> None:
    (record,) = campaign({"simclr": 0.5}, columns=("knn",))
    path = Store(tmp_path).log_path(record.identity)
    assert excerpt(tmp_path, [record]) is None
    path.mkdir(parents=True)
    assert excerpt(tmp_path, [record]) is None
    path.rmdir()
    path.write_bytes(b"\xff\n" + b"x" * BYTES + b"\nlast")
    found = excerpt(tmp_path, [record])
    assert found is not None and found.text == "last" and not found.whole
    path.write_text("\n".join(map(str, range(LINES))))
    found = excerpt(tmp_path, [record])
    assert found is not None and found.whole and found.text.startswith("0\n1\n")


def test_the_reference_shows_every_study_with_its_figures() -> None:
    found, missing = sections(REFERENCE)
    assert [section.name for section in found] == names() and missing == []
    for section in found:
        assert section.rows and section.findings and section.images
        assert all(len(row) == len(section.headings) for row in section.rows)


def test_a_broken_study_and_an_own_study_are_named_and_left_out(tmp_path: Path) -> None:
    for name, text in ((names()[0], "{"), ("mine", "{}")):
        (tmp_path / "studies" / name).mkdir(parents=True)
        (tmp_path / "studies" / name / "study.json").write_text(text)
    found, missing = sections(tmp_path)
    assert found == [] and len(missing) == 2 and all(line.startswith("study ") for line in missing)


def test_without_the_libraries_of_the_pictures_the_page_says_how_to_get_them(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["report", "--results", str(recorded), "--out", str(tmp_path / "page.html")])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert done.exit_code == 0 and NO_PICTURES in done.stderr and "sslbench[report]" in text
    assert "simclr" in text and 'id="drawing"' not in text


def test_a_folder_without_records_is_refused(tmp_path: Path, recorded: Path) -> None:
    with pytest.raises(SslbenchError, match="no records in"):
        write_report([recorded, tmp_path])
    assert not (recorded / "report.html").exists()


def test_report_imports_no_torch(recorded: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from bench.cli.program import run_program; code = run_program(sys.argv[1:]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    arguments = ["report", "--results", str(recorded), "--out", str(tmp_path / "page.html")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=clean_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("The page: "), done.stderr


def test_the_committed_page_has_every_row_of_the_reference_and_a_bounded_size() -> None:
    from bench.leaderboard.read import read_records
    from bench.reports import numbers
    from bench.reports.page.collect import Folder, all_tables

    page, picture = REFERENCE / "report.html", REFERENCE / "report.png"
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size <= 2_000_000 and picture.stat().st_size <= 200_000
    for table in all_tables(Folder(REFERENCE, read_records(REFERENCE)[0])).tables:
        assert f">{numbers.title(table)}</h2>" in text
        for row in table.rows:
            assert f'data-value="{row.label}"' in text
