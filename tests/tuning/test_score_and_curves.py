"""Scores, winners and best-of-n curves, against what can be counted by hand or by trying all orders."""

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest

from bench.tuning.best_of import best_of, curve, shown
from bench.tuning.score import Outcome, candidates, in_order, mean_scores, scores, winner


def outcome(knn: int, linear: int) -> Outcome:
    return Outcome("ok", None, {"knn": Fraction(knn, 100), "linear": Fraction(linear, 100)})


DIVERGED = Outcome("diverged", "loss is not finite")


def test_a_score_is_the_mean_of_two_ranks_and_equal_accuracies_share_theirs():
    trials = [outcome(80, 90), outcome(85, 85), outcome(80, 95), DIVERGED, DIVERGED]
    # knn ranks: 2.5, 1, 2.5, 4.5, 4.5; linear ranks: 2, 3, 1, 4.5, 4.5
    assert scores(trials) == [2.25, 2.0, 1.75, 4.5, 4.5]
    assert in_order(trials) == [2, 1, 0, 3, 4]
    assert candidates(trials) == [2, 1, 0]


def test_equal_scores_are_ordered_by_accuracy_and_then_the_shipped_recipe_comes_first():
    assert in_order([outcome(80, 90), outcome(90, 80)]) == [0, 1]
    assert in_order([outcome(80, 90), outcome(95, 80)]) == [1, 0]
    assert winner({3: [outcome(80, 90)], 1: [outcome(90, 80)]}) == 1


def test_failed_trials_are_neither_repeated_nor_winners():
    assert candidates([DIVERGED, outcome(50, 50), DIVERGED]) == [1]
    assert candidates([DIVERGED]) == []
    assert winner({}) is None
    assert winner({1: [DIVERGED, DIVERGED]}) is None


def test_the_winner_has_the_best_mean_rank_over_seeds():
    repeated = {
        4: [outcome(90, 90), outcome(70, 70), outcome(70, 70)],
        0: [outcome(80, 80), outcome(80, 80), outcome(80, 80)],
        7: [outcome(70, 70), outcome(75, 75), DIVERGED],
    }
    assert mean_scores(repeated) == {4: pytest.approx(2.0), 0: pytest.approx(4 / 3), 7: pytest.approx(8 / 3)}
    assert winner(repeated) == 0


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_the_best_of_n_equals_that_of_all_subsets(count):
    # In the order of the scores; the accuracies need not fall with it.
    values = [71.0, 73.5, 70.0, 70.0, 60.5, 66.0, 10.0]
    found = best_of(values, count)
    bests = [values[min(subset)] for subset in combinations(range(len(values)), count)]
    assert found.mean == pytest.approx(np.mean(bests))
    assert found.low == np.quantile(bests, 0.025, method="inverted_cdf")
    assert found.high == np.quantile(bests, 0.975, method="inverted_cdf")


def test_a_curve_ends_with_the_best_trial():
    values = [float(value) for value in range(20, 0, -1)]
    found = curve(values)
    assert [entry.trials for entry in found] == list(range(1, 21))
    assert (found[-1].low, found[-1].mean, found[-1].high) == (20, 20, 20)
    assert all(a.mean < b.mean for a, b in pairwise(found))
    assert shown(20) == [1, 5, 10, 20] and shown(16) == [1, 5, 10, 16] and shown(1) == [1]
