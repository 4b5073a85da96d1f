"""The committed records are complete and of the current versions, and the README shows them."""

from collections import defaultdict

import pytest

from bench.leaderboard.read import Selection, leaderboard_of, read_records
from bench.leaderboard.significance import difference
from bench.maintenance.update_readme import ROOT, with_label_free, with_leaderboards, with_throughput
from bench.studies.load import find, names
from bench.studies.manifest import folder_of, read, records_of

REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def records():
    records, problems = read_records(REFERENCE)
    assert problems == []
    return records


@pytest.fixture(scope="module")
def leaderboard(records):
    return leaderboard_of(records, Selection(), check=True)


def table_of(leaderboard, dataset, backbone, budget):
    (table,) = [t for t in leaderboard.tables if (t.dataset, t.backbone, t.budget) == (dataset, backbone, budget)]
    return table


def test_every_committed_record_is_of_the_current_versions(leaderboard):
    assert [str(stale) for stale in leaderboard.stale] == []
    assert leaderboard.tables


@pytest.fixture(scope="module")
def seeds(records):
    """(data set, backbone, budget) -> method -> its seeds, for default settings."""
    found = defaultdict(lambda: defaultdict(set))
    for identity in (record.identity for record in records):
        if not identity.settings:
            found[identity.dataset, identity.backbone, identity.budget][identity.method].add(identity.seed)
    return found


@pytest.mark.parametrize("backbone", ["resnet9_slim", "vit_nano"])
def test_the_same_methods_have_rows_on_digits_under_quick_and_standard(seeds, backbone):
    quick, standard = (set(seeds["digits", backbone, budget]) for budget in ("quick", "standard"))
    assert quick == standard != set()


def test_all_methods_of_a_table_have_the_same_seeds(seeds):
    for table, methods in seeds.items():
        assert len({frozenset(found) for found in methods.values()}) == 1, (table, dict(methods))


def test_all_ranked_rows_on_digits_have_all_columns(leaderboard):
    for backbone in ("resnet9_slim", "vit_nano"):
        table = table_of(leaderboard, "digits", backbone, "standard")
        columns = {column.id for column in table.columns if column.same_as is None}
        incomplete = [row.method for row in table.rows if row.group == "methods" and row.scores.keys() != columns]
        assert incomplete == []


@pytest.mark.parametrize("name", names())
def test_every_study_has_its_figures_and_all_its_rows(name):
    runs, drawn = read(REFERENCE, name)
    study = find(name)
    assert len(drawn) == len(study.figures)
    assert all((folder_of(REFERENCE, name) / figure.file).is_file() for figure in drawn)
    for id, system in runs.systems.items():
        assert all(system.protocol in record.protocols for record in records_of(REFERENCE, system))
        assert len(records_of(REFERENCE, system)) == (study.system(id).seeds or study.seeds)


@pytest.mark.parametrize("floor", ["random_init", "pixels"])
def test_simclr_is_above_the_floor_with_one_label_per_class(leaderboard, floor):
    table = table_of(leaderboard, "digits", "resnet9_slim", "standard")
    answers = {row.method: row.answers["lowshot-1-frozen"] for row in table.rows}
    found = difference(answers["simclr"], answers[floor])
    assert found.value > 0
    assert found.p < 0.05


def test_no_method_is_significantly_above_the_ceiling(leaderboard):
    for table in leaderboard.tables:
        answers = {row.method: row.answers["linear"] for row in table.rows if "linear" in row.answers}
        methods = {row.method for row in table.rows if row.group == "methods"}
        for method in methods & answers.keys() if "supervised" in answers else ():
            found = difference(answers[method], answers["supervised"])
            assert found.value <= 0 or found.p >= 0.05, (table.dataset, method)


@pytest.mark.usefixtures("only_the_catalogue")
def test_readme_and_notes_show_the_committed_records_and_speeds():
    readme = (ROOT / "README.md").read_text()
    assert with_leaderboards(readme, REFERENCE) == readme, "run `make readme`"
    assert with_throughput(readme, ROOT / "results" / "throughput") == readme, "run `make readme`"
    notes = (REFERENCE / "NOTES.md").read_text()
    assert with_label_free(notes, REFERENCE) == notes, "run `make readme`"
