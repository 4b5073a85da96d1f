"""The committed records are current, and the README shows them."""

import pytest

from bench.board import Selection, read_board
from bench.readme import ROOT, with_tables

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


def test_the_readme_shows_the_committed_records():
    readme = (ROOT / "README.md").read_text()
    assert with_tables(readme, REFERENCE) == readme, "run `make readme`"
