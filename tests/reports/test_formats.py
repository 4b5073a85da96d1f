import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.errors import SslbenchError
from bench.leaderboard.build import CurrentVersions, build
from bench.leaderboard.tables import Leaderboard
from bench.records.record import Measurement, Record
from bench.reports.formats import to_csv, to_json, to_latex, to_markdown, write_leaderboard
from bench.reports.leaderboard import to_screen
from bench.reports.numbers import whole_rank

Campaign = Callable[..., list[Record]]


@pytest.fixture
def leaderboard(campaign: Campaign, current: CurrentVersions) -> Leaderboard:
    methods = {"pixels": -1.0, "supervised": 0.9, "barlow_twins": 0.1, "simclr": 0.6}
    records = campaign(methods, seeds=(0, 1, 2)) + campaign(
        {"simclr": 0.5}, settings={"temperature": 0.2, "out": "a_b"}
    )
    records += campaign({"vae": 0.0}, columns=(), status="diverged", cause="loss is not finite at step 7 | 100 %")
    twin = Measurement(1, same_as="lowshot-1")
    records = [replace(r, protocols=r.protocols | {"lowshot-1pct": twin}) for r in records]
    stale = campaign({"byol": 0.4}, identity={"harness_version": 3})
    return build(records + stale, current)


def printed(leaderboard: Leaderboard, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(to_screen(leaderboard, width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def test_tables_of_two_backbones_on_the_same_images_are_linked(campaign: Campaign, current: CurrentVersions) -> None:
    records = campaign({"simclr": 0.5}) + campaign({"mae": 0.5}, identity={"backbone": "vit_nano"})
    leaderboard = build(records + campaign({"mae": 0.5}, identity={"budget": "quick"}), current)
    by_key = {(table.backbone, table.budget): table for table in leaderboard.tables}
    first, second = records[0].identity, records[-1].identity
    assert by_key[(first.backbone, first.budget)].other_backbones == ("vit_nano",)
    assert by_key[("vit_nano", first.budget)].other_backbones == (first.backbone,)
    assert by_key[(first.backbone, "quick")].other_backbones == ()
    markdown = to_markdown(leaderboard)
    heading = f"{second.dataset}, {second.backbone}, {second.budget}"
    assert f"### {heading}\n" in markdown
    assert f"](#{heading.replace(', ', '-').lower()})" in markdown
    assert "another backbone: vit_nano" in "\n".join(printed(leaderboard, 120))


@pytest.mark.parametrize("width", [60, 80, 100, 140, 220])
def test_every_score_is_shown_at_any_terminal_width(leaderboard: Leaderboard, width: int) -> None:
    lines = printed(leaderboard, width)
    assert max(map(len, lines)) <= width
    for row in leaderboard.tables[0].rows:
        own = " ".join(line for line in lines if line.startswith(row.label[:12]))
        for column, score in row.scores.items():
            shown = f"{score.mean:.1f}" + (f"±{score.std:.1f}" if score.std is not None else "")
            if score.seeds == 1 and not row.deterministic:
                assert score.interval is not None
                shown += f" [{score.interval[0]:.1f}, {score.interval[1]:.1f}]"
            assert shown + ("*" if score.could_be_best else "") in own, (row.label, column)


def test_the_terminal_shows_failures_stale_records_and_rows_of_a_single_seed(leaderboard: Leaderboard) -> None:
    text = "\n".join(printed(leaderboard, 200))
    assert "vae (diverged)" in text and "loss is not finite at step 7 | 100 %" in text
    assert "byol" in text and "harness version 3, now 1" in text
    assert "simclr+out=a_b,temperature=0.2" in text.replace("\n", "")
    assert "variation between seeds" in text
    assert "chance 10" in text


def test_an_empty_leaderboard_says_what_to_do() -> None:
    assert any("sslbench run" in line for line in printed(Leaderboard(()), 80))


def test_json_has_the_documented_entries_and_no_nan(leaderboard: Leaderboard) -> None:
    data = json.loads(to_json(leaderboard), parse_constant=pytest.fail)
    (table,) = data["tables"]
    assert {"dataset", "backbone", "budget", "columns", "rows"} <= table.keys()
    for row in table["rows"]:
        assert {"method", "settings", "seeds", "status", "rank", "scores", "cost"} <= row.keys()
        assert set(row["scores"]) == set(table["columns"])
        for score in row["scores"].values():
            assert {"mean", "std", "draw_std", "interval", "could_be_best", "gap"} <= score.keys()
        assert {"pretrain_s", "images_per_s", "peak_memory_mb", "parameters"} <= row["cost"].keys()
    simclr = next(row for row in table["rows"] if row["method"] == "simclr" and not row["settings"])
    assert simclr["seeds"] == [0, 1, 2] and simclr["rank"] == 1
    assert 50 < simclr["scores"]["linear"]["mean"] <= 100
    low, high = simclr["scores"]["linear"]["interval"]
    assert low < simclr["scores"]["linear"]["mean"] < high
    assert simclr["scores"]["lowshot-1pct"]["mean"] is None and table["same_as"] == {"lowshot-1pct": "lowshot-1"}
    assert simclr["rank_interval"][0] == 1 and simclr["scores"]["linear"]["could_be_best"] is True
    other = next(row for row in table["rows"] if row["method"] == "barlow_twins")["scores"]["linear"]["gap"]
    assert 0 <= other["interval"][0] <= other["value"] <= other["interval"][1]
    assert all(row["rank"] is None for row in table["rows"] if row["method"] in ("pixels", "supervised", "vae"))


def test_metrics_that_are_not_finite_are_null_in_json(campaign: Campaign, current: CurrentVersions) -> None:
    (record,) = campaign({"simclr": 0.5})
    bad = replace(record.protocols["linear"], metrics={"top1": 0.5, "nll": float("inf")})
    text = to_json(build([replace(record, protocols={"linear": bad})], current))
    assert json.loads(text, parse_constant=pytest.fail)["tables"][0]["rows"][0]["scores"]["linear"]["metrics"] == {
        "nll": None
    }


def test_csv_has_one_line_per_row_and_reads_back(leaderboard: Leaderboard) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(leaderboard))))
    rows = leaderboard.tables[0].rows
    assert [line["method"] for line in lines] == [row.method for row in rows]
    for line, row in zip(lines, rows, strict=True):
        for column, score in row.scores.items():
            assert float(line[column]) == pytest.approx(score.mean, abs=1e-3)
            ends = [line[f"{column}_gap{end}"] for end in ("", "_low", "_high")]
            if score.gap is None:
                assert ends == ["", "", ""] and line[f"{column}_could_be_best"] == ""
            else:
                assert [float(end) for end in ends] == pytest.approx([score.gap.value, *score.gap.interval], abs=1e-3)
                assert line[f"{column}_could_be_best"] == ("yes" if score.could_be_best else "no")
        ends = [line["rank_low"], line["rank_high"]]
        assert (
            ends == ["", ""]
            if row.rank_interval is None
            else pytest.approx(row.rank_interval) == list(map(float, ends))
        )
    assert lines[-1]["lowshot-1"] == ""
    assert to_csv(Leaderboard(())) == ""


def test_all_lines_of_a_markdown_table_have_the_same_number_of_columns(leaderboard: Leaderboard) -> None:
    lines = [line for line in to_markdown(leaderboard).splitlines() if line.startswith("|")]
    counts = [line.replace("\\|", "").count("|") for line in lines]
    assert len(set(counts)) == 1 and len(lines) == 2 + len(leaderboard.tables[0].rows)
    assert "**" in next(line for line in lines if "simclr" in line)


@pytest.mark.parametrize("width", [80, 160])
def test_gaps_are_below_the_scores_on_request(leaderboard: Leaderboard, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(to_screen(leaderboard, width, gaps=True))
    screen = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, screen.splitlines())) <= width
    gaps = [s.gap for row in leaderboard.tables[0].rows for s in row.scores.values() if s.gap]
    assert gaps
    for found in gaps:
        shown = f"{found.value:.1f} [{found.interval[0]:.1f}, {found.interval[1]:.1f}]"
        assert shown in screen and f"<br>{shown}" in to_markdown(leaderboard, gaps=True)
        assert rf"\\{shown}}}" in to_latex(leaderboard, gaps=True)
    assert "<br>" not in to_markdown(leaderboard) and "shortstack" not in to_latex(leaderboard)
    for text in (screen, to_markdown(leaderboard, gaps=True), to_latex(leaderboard, gaps=True)):
        assert "how far it is below the best" in " ".join(text.split())


def test_a_rank_has_its_interval_rounded_outwards_and_pixels_are_called_deterministic(leaderboard: Leaderboard) -> None:
    row = next(row for row in leaderboard.tables[0].rows if row.rank_interval)
    assert whole_rank(replace(row, rank=1.25, rank_interval=(1.0, 12.2))) == "1.2 [1, 13]"
    assert whole_rank(replace(row, rank=4.0, rank_interval=(2.9, 5.0))) == "4.0 [2, 5]"
    assert whole_rank(replace(row, rank_interval=None)) == f"{row.rank:.1f}"
    for text in (to_markdown(leaderboard), to_latex(leaderboard), "\n".join(printed(leaderboard, 200))):
        assert "pixels (deterministic)" in text
    line = next(line for line in to_markdown(leaderboard).splitlines() if "pixels" in line)
    assert "±" not in line and "[" not in line


def test_latex_escapes_names_and_balances_its_columns(leaderboard: Leaderboard) -> None:
    lines = to_latex(leaderboard).splitlines()
    body = [line for line in lines if line.endswith(r"\\")]
    assert {line.count(" & ") for line in body} == {len(leaderboard.tables[0].columns) + 1}
    assert any(line.startswith(r"barlow\_twins & ") for line in body)
    assert not any("_" in line.replace(r"\_", "") or "%" in line for line in body)
    assert [lines.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 3, 1]


def test_the_leaderboard_is_written_as_markdown_csv_and_json(leaderboard: Leaderboard, tmp_path: Path) -> None:
    paths = write_leaderboard(leaderboard, tmp_path)
    assert [path.name for path in paths] == ["leaderboard.md", "leaderboard.csv", "leaderboard.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert paths[2].read_text() == to_json(leaderboard)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SslbenchError, match="cannot write"):
        write_leaderboard(leaderboard, blocked)
