"""Tuned rows in the leaderboard, and whether the order of methods changes, on simulated records of known ability."""

from dataclasses import replace

import pytest
from support.campaign import simulate

from bench.leaderboard.build import build
from bench.leaderboard.tables import Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.formats import FORMATS
from bench.reports.leaderboard import to_screen
from bench.tuning.order import gains, orders

SHIPPED = {"simclr": 1.2, "byol": 0.6, "swav": 0.0}


def tuned_records(abilities: dict[str, float], trials: int = 16, **more) -> list[Record]:
    records = simulate(
        abilities, seeds=(0, 1, 2), luck=1, settings={"recipe.rate": 0.3, "temperature": 0.1}, images=2000, **more
    )
    return [replace(record, tuned=[trials]) for record in records]


def tables(records: list[Record], current) -> list[Table]:
    return list(build(records, current).tables)


@pytest.fixture
def shipped() -> list[Record]:
    return simulate(SHIPPED | {"random_init": -2.0}, seeds=(0, 1, 2), images=2000)


def test_tuned_rows_are_ranked_among_themselves_and_never_with_shipped_ones(shipped, current):
    first, second = tables([*shipped, *tuned_records({"simclr": 0.9, "byol": 1.5})], current)
    assert (first.tuned, second.tuned) == (None, 16)
    assert {row.method for row in first.rows} == {*SHIPPED, "random_init"} and not any(
        row.settings for row in first.rows
    )
    ranked = {row.name: row.rank for row in second.rows if row.group == "methods"}
    assert ranked["byol"] < ranked["simclr"] and set(ranked) == {"simclr", "byol"}
    # The untrained network cannot be tuned: it is the floor of both tables.
    assert [row.method for row in second.rows if row.group == "floor and ceiling"] == ["random_init"]
    assert numbers.title(second).endswith(", tuned (16 trials)")
    assert any("byol, best of 16 trials: recipe.rate=0.3,temperature=0.1" in note for note in numbers.facts(second))


def test_searches_of_another_length_have_another_table(shipped, current):
    records = [*shipped, *tuned_records({"simclr": 0.9}), *tuned_records({"byol": 0.9}, trials=4)]
    assert [(t.tuned, [r.method for r in t.rows if r.group == "methods"]) for t in tables(records, current)[1:]] == [
        (4, ["byol"]),
        (16, ["simclr"]),
    ]


def test_a_shipped_recipe_that_won_its_search_is_in_both_tables(shipped, current):
    records = [replace(r, tuned=[16]) if r.identity.method == "swav" else r for r in shipped]
    first, second = tables(records, current)
    assert "swav" in {row.method for row in first.rows}
    assert [row.method for row in second.rows] == ["swav", "random_init"]
    assert any("swav, best of 16 trials: the shipped recipe" in note for note in numbers.facts(second))


def test_every_format_shows_the_tuned_table(shipped, current):
    leaderboard = build([*shipped, *tuned_records(SHIPPED)], current)
    for write in FORMATS.values():
        assert "16" in write(leaderboard)
    assert to_screen(leaderboard, 160)


def test_a_large_change_of_ability_is_a_sure_swap(shipped, current):
    first, second = tables([*shipped, *tuned_records({"simclr": 1.2, "byol": 0.6, "swav": 2.2})], current)
    (knn, _) = orders(first, second)
    assert set(knn.swapped) == {("simclr", "swav"), ("byol", "swav")} and (knn.kept, knn.open) == (1, 0)
    assert knn.tau == knn.low == knn.high == pytest.approx(-1 / 3)
    assert "simclr was above swav" in knn.sentence()


def test_equal_abilities_swap_nothing_surely(current):
    abilities = {"simclr": 0.5, "byol": 0.5, "swav": 0.5, "moco": 0.5}
    shipped = simulate(abilities, seeds=(0, 1, 2), images=2000)
    for luck in range(5):
        again = simulate(abilities, seeds=(0, 1, 2), images=2000, luck=10 + luck, settings={"temperature": 0.2})
        first, second = tables([*shipped, *(replace(r, tuned=[16]) for r in again)], current)
        for order in orders(first, second):
            assert order.swapped == () and order.low <= order.tau <= order.high
            assert order.kept + order.open == 6


def test_the_gain_of_a_method_is_paired_by_image(shipped, current):
    first, second = tables([*shipped, *tuned_records({"swav": 1.0})], current)
    (row,) = [row for row in first.rows if row.method == "swav"]
    for gain in gains(row, second.rows[0]):
        assert gain.low < gain.gain < gain.high and gain.low > 0
        assert gain.gain == pytest.approx(gain.tuned - gain.shipped)
