"""Label-free figures against accuracy: the correlation, its interval, and which rows and runs it is about."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from bench.leaderboard.build import build, current_versions
from bench.leaderboard.label_free import FEWEST, final_loss, over_methods, spearman, within_methods
from bench.leaderboard.tables import Table
from bench.records.record import Measurement, Record
from bench.reports.row_records import by_row

Campaign = Callable[..., list[Record]]
METHODS = ("simclr", "byol", "moco", "nnclr", "dcl", "swav", "vicreg", "mmcr", "wmse")
COLUMNS = ("knn", "linear")


def with_figures(records: list[Record], figures: dict[str, list[float]]) -> list[Record]:
    """The records with label-free figures, one value per record."""
    return [
        replace(
            r, protocols=r.protocols | {name: Measurement(1, {name: values[i]}) for name, values in figures.items()}
        )
        for i, r in enumerate(records)
    ]


def table_of(records: list[Record]) -> Table:
    (table,) = build(records, current_versions(), all_protocols=True).tables
    return table


def test_spearman_equals_scipy_with_ties() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        x, y = generator.integers(0, 6, (2, 15)).astype(float).tolist()
        found = spearman(x, y)
        assert found is not None and found.value == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert spearman([1.0] * 9, list(range(9))) is None


@pytest.mark.parametrize("count", [FEWEST, 20])
@pytest.mark.parametrize("normal", [0.0, 0.7])
def test_the_interval_holds_the_true_correlation_in_95_percent_of_simulated_samples(count: int, normal: float) -> None:
    generator = np.random.default_rng(0)
    # Spearman's correlation of a bivariate normal distribution with correlation r is 6/pi * arcsin(r/2).
    true, held, trials = 6 / math.pi * math.asin(normal / 2), 0, 800
    for _ in range(trials):
        x = generator.normal(size=count)
        found = spearman(list(x), list(normal * x + math.sqrt(1 - normal**2) * generator.normal(size=count)))
        assert found is not None
        held += found.interval[0] <= true <= found.interval[1]
    assert 0.925 <= held / trials <= 0.985


def test_the_interval_is_near_scipys_bootstrap() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=60)
    y = x + generator.normal(size=60)
    reference = scipy.stats.bootstrap(
        (x, y), lambda a, b: scipy.stats.spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=500, rng=1
    ).confidence_interval  # fmt: skip
    found = spearman(list(x), list(y))
    assert found is not None and found.interval == pytest.approx((reference.low, reference.high), abs=0.07)


def test_equal_orders_have_an_interval_with_a_length() -> None:
    found = spearman(list(range(9)), list(range(9)))
    assert found is not None and found.value == found.interval[1] == 1 and 0.5 < found.interval[0] < 0.99


def test_figures_are_correlated_over_the_ranked_rows_that_ended_well(campaign: Campaign) -> None:
    abilities = {name: 0.4 * at for at, name in enumerate(METHODS)}
    ranked = with_figures(
        campaign(abilities, columns=COLUMNS, images=400, noise=0),
        {
            "rankme": [float(at) for at in range(9)],
            "alignment": [2.0 * at for at in range(9)],
            "feature_std": [0.5] * 9,
        },
    )
    # Each of these would change the order: floor and ceiling, changed settings, a collapsed run.
    others = with_figures(
        campaign({"random_init": 9.0, "supervised": -9.0}, columns=COLUMNS, images=400)
        + campaign({"dino": 9.0}, columns=COLUMNS, images=400, settings={"temperature": 0.2})
        + campaign({"barlow_twins": 9.0}, columns=COLUMNS, images=400, status="collapsed"),
        {"rankme": [1.0, 1e4, 1.5, 1.2], "alignment": [1.0, 2.0, 3.0, 4.0], "feature_std": [0.1, 0.2, 0.3, 0.4]},
    )
    table = table_of([*ranked, *others])
    found = {(one.figure.id, one.accuracy): one for one in over_methods(table)}
    # A figure that is the same in all rows has no rank correlation.
    assert set(found) == {(figure, accuracy) for figure in ("rankme", "alignment") for accuracy in COLUMNS}
    scores = [100 * r.protocols["knn"].metrics["top1"] for r in ranked]
    rankme, alignment = found["rankme", "knn"], found["alignment", "knn"]
    assert rankme.correlation.value == pytest.approx(scipy.stats.spearmanr(range(9), scores).statistic)
    assert [name for name, *_ in sorted(rankme.points, key=lambda point: point[1])] == list(METHODS)
    assert rankme.choice is not None and rankme.choice.label == "wmse"
    assert rankme.choice.lost == pytest.approx(max(scores) - scores[-1])
    assert rankme.choice.typical == pytest.approx(max(scores) - np.median(scores))
    # A low alignment is better by its definition: here it chooses the worst method, and the sign is surprising.
    assert alignment.choice is not None and alignment.choice.label == "simclr"
    assert rankme.as_declared and alignment.as_declared is False and alignment.correlation.clear


def test_few_methods_have_no_correlation(campaign: Campaign) -> None:
    records = campaign(dict.fromkeys(METHODS[: FEWEST - 1], 0.5), columns=("knn",), images=100)
    records = with_figures(records, {"rankme": [float(at) for at in range(FEWEST - 1)]})
    assert over_methods(table_of(records)) == []


def test_the_loss_is_compared_only_between_runs_of_one_method(campaign: Campaign) -> None:
    runs = [
        replace(record, curve={"step": [1.0, 2.0], "loss": [9.0, 5.0 - 0.1 * at]})
        for at, rate in enumerate((0.1, 0.2, 0.3, 0.4, 0.5))
        for record in campaign(
            {"simclr": 0.6 * at}, columns=("knn",), images=400, seeds=(0, 1), noise=0, settings={"rate": rate}
        )
    ]
    other = campaign(dict.fromkeys(METHODS[1:], 0.5), columns=("knn",), images=400)
    broken = replace(runs[0], status="diverged", identity=replace(runs[0].identity, seed=2), cause="nan")
    records = [*runs, *other, broken]
    table = table_of(records)
    (found,) = within_methods(table, by_row(table, records))
    assert (found.method, found.accuracy, found.varied, found.correlation.count) == ("simclr", "knn", ("rate",), 10)
    scores = [r.protocols["knn"].metrics["top1"] for r in runs]
    losses = [r.curve["loss"][-1] for r in runs]
    assert found.correlation.value == pytest.approx(scipy.stats.spearmanr(losses, scores).statistic)
    assert found.correlation.clear and found.correlation.value < 0


def test_the_final_loss_is_the_mean_of_the_last_tenth(campaign: Campaign) -> None:
    (record,) = campaign({"simclr": 0.5}, columns=("knn",))
    assert final_loss(replace(record, curve={"loss": [float(at) for at in range(40)]})) == 37.5
    assert final_loss(replace(record, curve={"loss": [1.0]})) == 1
    assert final_loss(replace(record, curve={"loss": [1.0, math.nan]})) is None
    assert final_loss(replace(record, curve={})) is None
