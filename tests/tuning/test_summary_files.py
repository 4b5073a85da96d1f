"""The summary of a search as a file and in the page, also if it is damaged or has hostile names."""

import os
from dataclasses import replace

import pytest

from bench.errors import SslbenchError
from bench.reports.page.collect import Folder, all_tables, collect
from bench.reports.page.document import to_html
from bench.reports.page.write import draw
from bench.tuning.best_of import curve
from bench.tuning.sections import sections
from bench.tuning.summary import CandidateSummary, MethodSummary, Summary, TrialSummary, joined, path_of, read, write

TRIALS = [
    TrialSummary({}, "ok", None, {"knn": 80.0, "linear": 90.0}, 1.0, 12.5),
    TrialSummary({"recipe.rate": 0.3}, "diverged", "loss is not finite at step 3", {}, 2.0, 1.5),
]


def searched(method: str) -> MethodSummary:
    best = CandidateSummary(0, 1.0, {"knn": 80.0, "linear": 90.0}, 0)
    return MethodSummary(
        method, None, 1, ["recipe.rate: 0.1 to 1"], TRIALS, [best], 0, curve([85.0, 10.0]), [], 4, 20.0
    )


SUMMARY = Summary(
    "digits", "f00d", "mlp", "1ep", 1, 2, 5, 1438, 10, 18, [searched("byol"), searched("<script>alert(1)</script>")]
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tuning" / "digits-mlp-1ep"


def test_a_summary_is_read_as_it_was_written(folder):
    assert read(path_of(folder, 2)) is None
    write(path_of(folder, 2), SUMMARY)
    assert read(path_of(folder, 2)) == SUMMARY


def test_commands_for_different_methods_share_a_summary_but_other_searches_do_not():
    other = replace(SUMMARY, methods=[replace(searched("byol"), runs=9), searched("simclr")])
    both = joined(SUMMARY, other)
    assert [(m.method, m.runs) for m in both.methods] == [("<script>alert(1)</script>", 4), ("byol", 9), ("simclr", 4)]
    for changed in ({"trials": 3}, {"fingerprint": "beef"}, {"folds": 1}, {"seed": 1}):
        assert joined(replace(SUMMARY, **changed), other) == other
    assert joined(None, other) == other


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "EOF"),
        ("[]", "not a summary"),
        ('{"schema_version": 1, "dataset": "x"}', "not a summary"),
        ('{"schema_version": 2}', "another version"),
    ],
)
def test_a_damaged_summary_is_one_line_and_left_out_of_the_page(folder, tmp_path, text, reason):
    folder.mkdir(parents=True)
    path_of(folder, 2).write_text(text)
    with pytest.raises(SslbenchError, match=f"trials-2.json: cannot be read .*{reason}.*; delete it"):
        read(path_of(folder, 2))
    found, missing = sections(tmp_path)
    assert found == [] and len(missing) == 1


def test_a_pipe_is_never_waited_for(folder, tmp_path):
    folder.mkdir(parents=True)
    os.mkfifo(path_of(folder, 2))
    assert len(sections(tmp_path)[1]) == 1


def test_the_page_has_table_failed_trials_and_curve_and_escapes_names(folder, tmp_path, campaign):
    write(path_of(folder, 2), SUMMARY)
    found, missing = sections(tmp_path)
    assert missing == []
    records = campaign({"simclr": 0.5, "byol": 0.2})
    results = Folder(tmp_path, records)
    leaderboard = all_tables(results)
    drawn, _ = draw(leaderboard, results, found)
    html = to_html(collect([results], leaderboard, found, drawn))
    assert "digits, mlp, 1ep: 2 trials of each method" in html
    assert "byol, trial 1 (recipe.rate=0.3): diverged, loss is not finite at step 3" in html
    assert "<script>alert(1)" not in html
    (picture,) = found[0].pictures
    assert ("byol", 2.0, 85.0, 85.0, 85.0) in picture.rows
    assert f'data-chart="{picture.id}"' in html and f'"{picture.id}"' in html
