"""The committed records are current, and the README shows them."""

import pytest

from bench.board import Selection, read_board
from bench.readme import ROOT, with_tables
from bench.significance import difference

REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def board():
    return read_board(REFERENCE, Selection(), check=True)


def test_every_committed_record_is_of_the_current_versions(board):
    found, problems = board
    assert problems == []
    assert [str(stale) for stale in found.stale] == []
    assert found.tables


def test_the_digits_table_is_whole(board):
    (table,) = [t for t in board[0].tables if (t.dataset, t.budget) == ("digits", "standard")]
    rows = {row.method: row for row in table.rows}
    assert len(rows) == 8
    assert all(len(row.seeds) == 3 for row in rows.values())


@pytest.mark.parametrize("floor", ["random_init", "pixels"])
def test_simclr_is_above_the_floor_with_one_label_a_class(board, floor):
    (table,) = [t for t in board[0].tables if (t.dataset, t.budget) == ("digits", "standard")]
    answers = {row.method: row.answers["lowshot-1-frozen"] for row in table.rows}
    found = difference(answers["simclr"], answers[floor])
    assert found.value > 0
    assert found.p < 0.05


def test_no_method_is_above_the_ceiling_by_more_than_noise(board):
    for table in board[0].tables:
        answers = {row.method: row.answers["linear"] for row in table.rows if "linear" in row.answers}
        for method in answers.keys() - {"supervised"} if "supervised" in answers else ():
            found = difference(answers[method], answers["supervised"])
            assert found.value <= 0 or found.p >= 0.05, (table.dataset, method)


def test_the_readme_shows_the_committed_records():
    readme = (ROOT / "README.md").read_text()
    assert with_tables(readme, REFERENCE) == readme, "run `make readme`"
