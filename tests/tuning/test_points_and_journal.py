"""The points of a search are the same for everyone, and its journal survives what happens to files."""

from fractions import Fraction

import pytest

from bench.errors import SslbenchError
from bench.registry.methods import load_method
from bench.registry.search_space import Axis, axes_of
from bench.tuning.journal import Journal, Searched
from bench.tuning.points import points
from bench.tuning.score import Outcome

AXES = [Axis("rate", 0.1, 0.01, 1.0, log=True), Axis("views", 2, choices=(2, 4)), Axis("warmup", 0.1, 0.0, 0.3)]
OK = Outcome("ok", None, {"knn": Fraction(1, 2), "linear": Fraction(1, 4)})


def searched(count: int, version: int = 1, axes=AXES) -> Searched:
    return Searched("example", version, axes, points(axes, count))


def test_the_first_point_is_the_shipped_recipe_and_a_longer_search_begins_like_a_shorter_one():
    longer = points(AXES, 9)
    assert longer[0] == {"rate": 0.1, "views": 2, "warmup": 0.1}
    for count in (1, 2, 5):
        assert points(AXES, count) == longer[:count]
    for point in longer:
        assert 0.01 <= point["rate"] <= 1.0 and point["views"] in (2, 4) and 0 <= point["warmup"] <= 0.3
    assert len({str(point) for point in longer}) == 9


def test_the_points_are_those_of_every_machine():
    """Known points: another version of Optuna or SciPy that draws others would make searches incomparable."""
    axes = axes_of(load_method("simclr"), load_method("simclr").recipe)
    assert points(axes, 3)[1:] == [
        {"jitter": 0.9979, "recipe.rate": 2.668, "recipe.weight_decay": 0.0005593, "temperature": 0.7827},
        {"jitter": 0.6167, "recipe.rate": 0.505, "recipe.weight_decay": 3.675e-05, "temperature": 0.1529},
    ]


def test_points_fill_the_space_evenly():
    """Of the points of a Sobol sequence, each half of each axis has the same number."""
    rates = [point["rate"] for point in points(AXES, 17)[1:]]
    assert sum(rate < 0.1 for rate in rates) == 8


def test_all_trials_are_asked_before_they_run_and_told_once(tmp_path):
    journal = Journal(tmp_path)
    assert journal.ask(searched(2)) is None
    journal.tell(searched(2), {0: OK})
    journal.ask(searched(4))
    journal.tell(searched(4), {0: OK, 1: Outcome("diverged", "NaN"), 2: Outcome("failed", "out of memory")})
    found = journal.trials("example")
    # A run that failed for a reason of the machine is tried again by the next command: its trial is still open.
    assert [trial.state.name for trial in found] == ["COMPLETE", "FAIL", "RUNNING", "RUNNING"]
    assert found[0].values == [0.5, 0.25]
    assert [trial.params for trial in found] == points(AXES, 4)


@pytest.mark.parametrize(
    "other", [searched(2, version=2), searched(2, axes=[Axis("rate", 0.1, 0.02, 1.0, log=True), *AXES[1:]])]
)
def test_a_journal_of_another_space_or_version_is_refused(tmp_path, other):
    journal = Journal(tmp_path)
    journal.ask(searched(2))
    with pytest.raises(
        SslbenchError, match="the search of example was made with another search space or version; delete this file"
    ):
        journal.ask(other)
    assert len(journal.trials("example")) == 2


@pytest.mark.parametrize(
    "damage", ['{"op_code": 4, "wor', "[1, 2]\n", '{"op_code": 99, "worker_id": "x"}\n', "\x00\x00\n"]
)
def test_a_damaged_journal_is_set_aside_and_written_again(tmp_path, damage):
    journal = Journal(tmp_path)
    journal.ask(searched(2))
    journal.path.write_text(journal.path.read_text() + damage)
    message = journal.ask(searched(2))
    assert "cannot be read" in message and "renamed to journal.log.damaged-1" in message
    assert [trial.params for trial in journal.trials("example")] == points(AXES, 2)


def test_what_is_no_file_is_never_opened_nor_replaced(tmp_path):
    journal = Journal(tmp_path)
    journal.path.mkdir()
    with pytest.raises(SslbenchError, match="not a regular file"):
        journal.ask(searched(2))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SslbenchError, match=r"cannot write .*; choose --results"):
        Journal(tmp_path / "file" / "folder").ask(searched(2))
