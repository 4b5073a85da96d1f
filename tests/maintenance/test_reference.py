"""The committed records are current, and the README shows them."""

import pytest

from bench.data.spec import DatasetSpec
from bench.leaderboard.read import Selection, read_leaderboard
from bench.leaderboard.significance import difference
from bench.maintenance.update_readme import ROOT, with_speeds, with_tables
from bench.planning.request import Request
from bench.planning.resolve import resolve
from bench.studies.load import find, names
from bench.studies.manifest import folder_of, read, records_of

REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def board():
    return read_leaderboard(REFERENCE, Selection(), check=True)


def test_every_committed_record_is_of_the_current_versions(board):
    found, problems = board
    assert problems == []
    assert [str(stale) for stale in found.stale] == []
    assert found.tables


def table_of(board, dataset, backbone, budget):
    (table,) = [t for t in board[0].tables if (t.dataset, t.backbone, t.budget) == (dataset, backbone, budget)]
    return table


@pytest.mark.usefixtures("only_the_catalogue")
@pytest.mark.parametrize("budget", ["quick", "standard"])
@pytest.mark.parametrize("backbone", ["resnet9_slim", "vit_nano"])
def test_every_method_has_its_row_on_digits(board, backbone, budget):
    request = Request((), DatasetSpec("digits"), budget=budget)
    wanted = {w.identity.method for w in resolve(request).wanted if w.identity.backbone == backbone}
    assert {row.method for row in table_of(board, "digits", backbone, budget).rows if not row.settings} == wanted


@pytest.mark.parametrize("backbone", ["resnet9_slim", "vit_nano"])
def test_every_row_on_digits_has_three_seeds(board, backbone):
    rows = table_of(board, "digits", backbone, "standard").rows
    assert {row.method: row.seeds for row in rows if len(row.seeds) != 3} == {}


@pytest.mark.parametrize("name", names())
def test_every_study_has_its_figures_and_all_its_rows(name):
    runs, drawn = read(REFERENCE, name)
    study = find(name)
    assert len(drawn) == len(study.figures)
    assert all((folder_of(REFERENCE, name) / one.file).is_file() for one in drawn)
    for id, place in runs.systems.items():
        assert all(place.protocol in record.protocols for record in records_of(REFERENCE, place))
        assert len(records_of(REFERENCE, place)) == (study.system(id).seeds or study.seeds)


@pytest.mark.parametrize("floor", ["random_init", "pixels"])
def test_simclr_is_above_the_floor_with_one_label_a_class(board, floor):
    table = table_of(board, "digits", "resnet9_slim", "standard")
    answers = {row.method: row.answers["lowshot-1-frozen"] for row in table.rows}
    found = difference(answers["simclr"], answers[floor])
    assert found.value > 0
    assert found.p < 0.05


def test_no_method_is_above_the_ceiling_by_more_than_noise(board):
    for table in board[0].tables:
        answers = {row.method: row.answers["linear"] for row in table.rows if "linear" in row.answers}
        methods = {row.method for row in table.rows if row.group == "methods"}
        for method in methods & answers.keys() if "supervised" in answers else ():
            found = difference(answers[method], answers["supervised"])
            assert found.value <= 0 or found.p >= 0.05, (table.dataset, method)


def test_the_readme_shows_the_committed_records():
    readme = (ROOT / "README.md").read_text()
    assert with_tables(readme, REFERENCE) == readme, "run `make readme`"
    assert with_speeds(readme, ROOT / "results" / "throughput") == readme, "run `make readme`"
