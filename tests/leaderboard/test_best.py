from dataclasses import replace

import numpy as np
import pytest

from bench.leaderboard.best import Comparisons, compare_all, rank_quantile
from bench.leaderboard.significance import Answers, difference


def answers(right: np.ndarray, label_sets: str | None = None) -> Answers:
    """Answers from bits [seeds, draws, images]."""
    return Answers(right.mean(0), right.mean(1), label_sets, int(right.sum()), right.size)


def world(
    rng: np.random.Generator, shifts: list[float], spreads: list[float], seeds: int = 3, draws: int = 1
) -> list[Answers]:
    """Rows on the same 300 images: latent normal, each row with its mean and the spread of its seeds in standard deviations."""
    image = rng.normal(0, 1, 300) + (rng.normal(0, 0.5, (draws, 300)) if draws > 1 else 0)
    rows = []
    for shift, spread in zip(shifts, spreads, strict=True):
        seed = rng.normal(0, spread, (seeds, 1, 1))
        z = (1.3 + shift) * np.sqrt(2 + spread**2) / np.sqrt(2) + image + seed + rng.normal(0, 1, (seeds, draws, 300))
        rows.append(answers(z > 0))
    return rows


def marks(found: Comparisons) -> list[bool]:
    return [standing.could_be_best for standing in found.standings()]


@pytest.mark.parametrize("draws", [1, 4])
def test_errors_and_degrees_of_freedom_are_those_of_the_test_of_a_pair(draws: int) -> None:
    rows = world(np.random.default_rng(0), [0.0, 0.2, 0.4, -0.3], [0.1, 0.5, 0.0, 0.3], draws=draws)
    found = compare_all(rows, "linear")
    for i, j in [(0, 1), (2, 3), (3, 0), (1, 2)]:
        pair = difference(rows[j], rows[i])
        assert found.difference[i, j] == pytest.approx(pair.value)
        assert found.error[i, j] == pytest.approx(pair.error)
        assert found.freedom[i, j] == pytest.approx(pair.freedom)


def test_two_rows_are_compared_by_welchs_one_sided_test() -> None:
    rng = np.random.default_rng(1)
    decided = 0
    for lead in np.linspace(0, 0.5, 40):
        rows = world(rng, [0.0, lead], [0.1, 0.1])
        pair = difference(rows[1], rows[0])
        one_sided = pair.p / 2
        if not 0.03 < one_sided < 0.06:
            lost = pair.value > 0 and one_sided < 0.05
            assert marks(compare_all(rows, "knn"))[0] is not lost
            decided += lost
    assert decided > 5


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_equal_row_loses_its_mark_in_few_worlds_if_seeds_spread_by_up_to_seven_points(seeds: int) -> None:
    rng = np.random.default_rng(2)
    spreads = [0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.2, 0.3]
    worlds = 80
    lost = np.mean([np.invert(marks(compare_all(world(rng, [0.0] * 8, spreads, seeds), "a"))) for _ in range(worlds)])
    assert 0.01 < lost < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / worlds)


def test_a_row_of_huge_variance_removes_no_mark_and_can_lose_its_own() -> None:
    rng = np.random.default_rng(3)
    rows = world(rng, [0.0] * 5, [0.05] * 5, seeds=5)
    wild = np.stack([np.full((1, 300), float(seed % 2 == 0)) for seed in range(5)])
    wild[4, 0, :] = rng.random(300) < 0.9
    alone, joined = marks(compare_all(rows, "x")), marks(compare_all([*rows, answers(wild)], "x"))
    assert joined[:5] == alone
    poor = np.stack([rng.random((1, 300)) < p for p in (0.05, 0.1, 0.25, 0.2, 0.3)])
    assert marks(compare_all([*rows, answers(poor)], "x"))[5] is False


@pytest.mark.parametrize("draws", [1, 3])
def test_the_order_of_rows_changes_nothing_and_equal_rows_stand_equally(draws: int) -> None:
    rows = world(np.random.default_rng(4), [0.0, 0.3, -0.3, 0.1], [0.1, 0.2, 0.3, 0.4], draws=draws)
    rows.append(rows[1])
    found = compare_all(rows, "knn").standings()
    assert found[1] == found[4]
    order = [3, 4, 0, 2, 1]
    for at, other in zip(order, compare_all([rows[i] for i in order], "knn").standings(), strict=True):
        assert other.could_be_best == found[at].could_be_best
        assert other.interval == pytest.approx(found[at].interval)


def test_the_best_row_could_always_be_the_best_and_every_interval_holds_its_gap() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        rows = world(rng, list(rng.normal(0, 0.5, 6)), list(rng.uniform(0, 1, 6)))
        found = compare_all(rows, "knn").standings()
        best = max(range(6), key=lambda i: rows[i].mean)
        assert found[best].could_be_best and found[best].gap == 0
        for standing in found:
            low, high = standing.interval
            assert 0 <= low <= standing.gap + 1e-12 and standing.gap <= high <= 1
            assert standing.could_be_best is (low == 0)


@pytest.mark.parametrize("shape", [(3, 1, 50), (3, 3, 50), (2, 1, 1), (2, 2, 1)])
def test_identical_rows_could_all_be_the_best(shape: tuple[int, ...]) -> None:
    right = np.random.default_rng(6).random(shape) < 0.5
    assert marks(compare_all([answers(right)] * 4, "knn")) == [True] * 4


def test_one_image_decides_nothing_and_a_single_row_is_the_best() -> None:
    found = compare_all([answers(np.ones((2, 1, 1))), answers(np.zeros((2, 1, 1)))], "knn")
    assert marks(found) == [True, True]
    assert marks(compare_all([answers(np.ones((2, 1, 30)))], "knn")) == [True]


def test_perfect_rows_that_one_image_separates_could_both_be_the_best() -> None:
    nearly = np.ones((3, 1, 360))
    nearly[:, 0, 0] = 0
    assert marks(compare_all([answers(np.ones((3, 1, 360))), answers(nearly)], "knn")) == [True, True]


def test_equal_numbers_of_right_answers_have_no_gap_though_their_means_differ_by_rounding() -> None:
    rng = np.random.default_rng(8)
    rows = []
    for counts in ((348, 349, 349), (346, 350, 350)):
        right = np.stack([rng.permutation(359) < count for count in counts])[:, None, :]
        rows.append(answers(right))
    assert rows[0].right == rows[1].right
    assert [standing.gap for standing in compare_all(rows, "knn").standings()] == [0.0, 0.0]


def test_a_deterministic_row_is_compared_with_any_number_of_seeds() -> None:
    rows = world(np.random.default_rng(9), [0.0, 0.1, -0.2], [0.1, 0.1, 0.1])
    fixed = np.random.default_rng(10).random((1, 1, 300)) < 0.8
    one, three = (replace(answers(np.repeat(fixed, n, 0)), deterministic=True) for n in (1, 3))
    found = [compare_all([*rows, row], "knn").standings() for row in (one, three)]
    for alone, copied in zip(*found, strict=True):
        assert (alone.could_be_best, alone.gap) == (copied.could_be_best, copied.gap)
        assert alone.interval == pytest.approx(copied.interval, abs=0.01)


def test_single_seeds_and_other_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="single seed"):
        compare_all([answers(np.ones((1, 1, 9))), answers(np.ones((2, 1, 9)))], "knn")
    with pytest.raises(ValueError, match="paired"):
        compare_all([answers(np.ones((2, 2, 9)), "a"), answers(np.ones((2, 2, 9)), "b")], "knn")


def test_more_columns_make_the_critical_value_of_a_rank_larger() -> None:
    rows = world(np.random.default_rng(7), [0.0] * 6, [0.2] * 6)
    one, two = compare_all(rows, "knn"), compare_all(rows, "linear")
    assert 1.96 <= rank_quantile([(one, 0)]) < rank_quantile([(one, 0), (two, 0)])
