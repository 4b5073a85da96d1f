"""Does the search change the order of the methods? The shipped and the tuned rows of the same images, compared. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from bench.leaderboard.significance import LEVEL, Answers, difference, holm
from bench.leaderboard.tables import Row, Table

COLUMNS = ("knn", "linear")
"""Columns whose orders are compared: they have one draw, so that every pair of rows is paired by image."""


@dataclass(frozen=True)
class Gain:
    """What the search gained for one method in one column.

    Attributes:
        column: The column.
        shipped: Score of the shipped recipe in percent.
        tuned: Score of the winner of the search in percent.
        gain: Their difference in points.
        low: Lower end of its 95 % interval, for this method and column alone.
        high: Upper end.
    """

    column: str
    shipped: float
    tuned: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Order:
    """The order of the methods in one column, before and after the search.

    A pair of methods keeps its order surely if it differs in the same direction in both tables, and is swapped surely if it differs in
    opposite directions, each by more than noise (5 % level, corrected for all pairs in both tables by Holm's method).

    Attributes:
        column: The column.
        methods: Number of methods that are in both tables.
        tau: Kendall's rank correlation of the two orders (tau-a).
        low: Its smallest value if all pairs that are not sure are swapped: a bound that holds for all pairs together at 95 %.
        high: Its largest value if none of them is.
        kept: Number of pairs that keep their order surely.
        swapped: Pairs that are swapped surely: the better one with shipped recipes, then the better one after the search.
        open: Number of pairs that cannot be told apart in at least one of the tables.
    """

    column: str
    methods: int
    tau: float
    low: float
    high: float
    kept: int
    swapped: tuple[tuple[str, str], ...]
    open: int

    def sentence(self) -> str:
        """Return the answer in a sentence."""
        pairs = self.methods * (self.methods - 1) // 2
        swapped = "; ".join(f"{before} was above {after}, now below" for before, after in self.swapped)
        verdict = f"surely swapped: {len(self.swapped)} ({swapped})" if self.swapped else "none is surely swapped"
        return (
            f"{self.column}: the orders of {self.methods} methods with shipped and with tuned settings have a rank correlation (Kendall's tau) "
            f"of {self.tau:.2f}, between {self.low:.2f} and {self.high:.2f} (95 %). Of {pairs} pairs, {self.kept} surely keep their "
            f"order, {self.open} cannot be told apart, {verdict}."
        )


def gains(shipped: Row, tuned: Row) -> list[Gain]:
    """Return what the search gained in each column that both rows have."""
    found = []
    for column in COLUMNS:
        answers = shipped.answers.get(column), tuned.answers.get(column)
        if answers[0] is None or answers[1] is None or not answers[0].paired(answers[1]):
            continue
        change = difference(answers[1], answers[0])
        low, high = change.interval
        scores = (100 * answers[0].mean, 100 * answers[1].mean)
        found.append(Gain(column, *scores, 100 * change.value, 100 * low, 100 * high))
    return found


def orders(shipped: Table, tuned: Table) -> list[Order]:
    """Return how the order of the ranked methods changes in each column; nothing with fewer than two methods in both tables."""
    found = []
    for column in COLUMNS:
        first, second = _answers(shipped, column), _answers(tuned, column)
        names = [name for name in first if name in second]
        if len(names) > 1:
            found.append(_order(column, names, first, second))
    return found


def _answers(table: Table, column: str) -> dict[str, Answers]:
    """Return the answers of the ranked methods by name, of those that answered the same images as the first."""
    rows = [r for r in table.rows if r.group == "methods" and r.status == "ok" and column in r.answers]
    return {r.name: r.answers[column] for r in rows if r.answers[column].paired(rows[0].answers[column])}


def _order(column: str, names: Sequence[str], shipped: Mapping[str, Answers], tuned: Mapping[str, Answers]) -> Order:
    pairs = list(combinations(names, 2))
    before = [difference(shipped[a], shipped[b]) for a, b in pairs]
    after = [difference(tuned[a], tuned[b]) for a, b in pairs]
    corrected = [p < LEVEL for p in holm([d.p for d in [*before, *after]])]
    sure = [one and other for one, other in zip(corrected, corrected[len(pairs) :], strict=False)]
    concordance = [_sign(one.value) * _sign(other.value) for one, other in zip(before, after, strict=True)]
    swapped = tuple(
        (a, b) if one.value > 0 else (b, a)
        for (a, b), one, certain, agree in zip(pairs, before, sure, concordance, strict=True)
        if certain and agree < 0
    )
    kept = sum(certain and agree > 0 for certain, agree in zip(sure, concordance, strict=True))
    unsure = len(pairs) - kept - len(swapped)
    bounds = [(kept - len(swapped) + side * unsure) / len(pairs) for side in (-1, 1)]
    tau = sum(concordance) / len(pairs)
    return Order(column, len(names), tau, bounds[0], bounds[1], kept, swapped, unsure)


def _sign(value: float) -> Literal[-1, 0, 1]:
    return 1 if value > 0 else -1 if value < 0 else 0
