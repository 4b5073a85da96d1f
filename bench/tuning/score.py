"""Score the trials of one method, choose the best ones and the winner. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from bench.records.record import Status

SCORED = ("knn", "linear")
"""Protocols whose ranks make the score of a trial."""
BEST = 3
"""Number of trials that are repeated with more seeds."""
REPEATED, TESTED = range(3), range(5)
"""Seeds of the best trials on the development task, and of the winner on the test set."""


@dataclass(frozen=True)
class Outcome:
    """What came of the runs of one trial with one seed: one run, or one per fold.

    Attributes:
        status: The worst status of the runs.
        cause: Why the status is not ``ok``, in one line; None if it is.
        accuracy: Share of right answers by protocol, over the images of all folds; empty if a run has no result.
        seconds: Seconds of training and measuring of all runs.
        runs: Number of runs.
    """

    status: Status
    cause: str | None = None
    accuracy: Mapping[str, Fraction] = field(default_factory=dict)
    seconds: float = 0.0
    runs: int = 1

    @property
    def failed(self) -> bool:
        """Whether there is no accuracy to score."""
        return any(name not in self.accuracy for name in SCORED)

    @property
    def mean(self) -> Fraction | None:
        """The mean of the accuracies that are scored; None if the trial failed."""
        return None if self.failed else sum((self.accuracy[name] for name in SCORED), Fraction(0)) / len(SCORED)


def scores(trials: Sequence[Outcome]) -> list[float]:
    """Return the score of each trial: the mean of its ranks among all of them on the scored protocols; 1 is the best.

    Equal accuracies share the mean of their ranks. Failed trials are equal and below all others.
    """
    ranks = [_ranks([Fraction(-1) if trial.failed else trial.accuracy[name] for trial in trials]) for name in SCORED]
    return [sum(of_trial) / len(SCORED) for of_trial in zip(*ranks, strict=True)]


def in_order(trials: Sequence[Outcome]) -> list[int]:
    """Return the positions of the trials, the best first: by score, then by mean accuracy, then the earlier one."""
    found = scores(trials)
    return sorted(range(len(trials)), key=lambda at: (found[at], -(trials[at].mean or Fraction(-1)), at))


def candidates(trials: Sequence[Outcome]) -> list[int]:
    """Return the positions of the best trials that did not fail, at most ``BEST``, the best first."""
    return [at for at in in_order(trials) if not trials[at].failed][:BEST]


def mean_scores(repeated: Mapping[int, Sequence[Outcome]]) -> dict[int, float]:
    """Return the mean over seeds of each candidate's score among the candidates.

    Args:
        repeated: Outcomes of each candidate, one per seed; all have the same seeds.
    """
    of_seed = [scores(outcomes) for outcomes in zip(*repeated.values(), strict=True)]
    return {at: sum(found[i] for found in of_seed) / len(of_seed) for i, at in enumerate(repeated)}


def winner(repeated: Mapping[int, Sequence[Outcome]]) -> int | None:
    """Return the candidate with the best mean score, of equal ones that with the best mean accuracy, then the earlier trial.

    A candidate that failed with every seed cannot win; None if there is no other.
    """
    found = mean_scores(repeated) if repeated else {}
    able = [at for at in found if not all(outcome.failed for outcome in repeated[at])]
    return min(able, key=lambda at: (found[at], -_mean(repeated[at]), at), default=None)


def _mean(outcomes: Sequence[Outcome]) -> Fraction:
    return sum((outcome.mean or Fraction(0) for outcome in outcomes), Fraction(0)) / len(outcomes)


def _ranks(values: Sequence[Fraction]) -> list[float]:
    """Return the rank of each value, the highest first; equal values share the mean of their ranks."""
    return [sum(v > value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]
