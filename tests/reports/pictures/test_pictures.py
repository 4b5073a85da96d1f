"""Pictures of the page: their numbers are those of the records, and every plot can be drawn."""

import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import altair
import numpy as np
import pytest
import scipy.stats
import vl_convert

from bench.leaderboard.build import build, current_versions
from bench.leaderboard.significance import difference
from bench.leaderboard.tables import Leaderboard
from bench.records.record import Record
from bench.records.store import Store
from bench.reports import numbers
from bench.reports.pictures import cost, label_free, pairs
from bench.reports.pictures.all_pictures import pictures_of
from bench.reports.pictures.maps import principal_components
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.runtime import available, script

ROOT = Path(__file__).parents[3] / "results" / "reference"
DIGITS = "digits, resnet9_slim, standard"


@pytest.fixture(scope="module")
def records() -> list[Record]:
    found, problems = Store(ROOT).read_all("test")
    assert not problems
    return [r for r in found if r.identity.dataset == "digits" and r.identity.budget == "standard"]


@pytest.fixture(scope="module")
def board(records: list[Record]) -> Leaderboard:
    return build(records, current_versions(), all_protocols=True)


@pytest.fixture(scope="module")
def pictures(board: Leaderboard, records: list[Record]) -> list[Picture]:
    return pictures_of(board, records, ROOT)


def of(pictures: list[Picture], start: str) -> Picture:
    return next(p for p in pictures if p.id.startswith(start) and p.table == DIGITS)


def test_there_is_a_picture_of_every_kind_with_caption_and_table(pictures: list[Picture]) -> None:
    starts = (
        "cost-seconds-knn",
        "cost-images-linear",
        "labels-frozen",
        "labels-fine-tuned",
        "ranks",
        "pairs-knn",
        "curve-loss",
        "label-free-loss",
    )
    for start in starts:
        picture = of(pictures, start)
        assert picture.caption.endswith((".", "shapes do."))
        assert picture.rows and all(len(row) == len(picture.headings) for row in picture.rows)
    assert len({p.id for p in pictures}) == len(pictures)
    assert all(re.fullmatch(r"[a-z0-9-]+", p.id) for p in pictures)


@pytest.mark.parametrize(
    "start", ["cost-seconds-knn", "labels-frozen", "ranks", "pairs-linear", "curve-loss", "label-free-loss"]
)
def test_a_plot_is_valid_and_can_be_drawn(pictures: list[Picture], start: str) -> None:
    chart = of(pictures, start).chart
    altair.Chart.from_dict(chart, validate=True) if "layer" not in chart else altair.LayerChart.from_dict(
        chart, validate=True
    )
    assert vl_convert.vegalite_to_svg(json.dumps({**chart, "width": 600})).startswith("<svg")


def test_points_of_the_cost_picture_are_scores_and_costs_of_the_table(
    pictures: list[Picture], board: Leaderboard
) -> None:
    table = next(t for t in board.tables if numbers.title(t) == DIGITS)
    rows = {row.label: row for row in table.rows}
    for name, score, low, high, seconds, _ in of(pictures, "cost-seconds-knn").rows:
        found = rows[str(name)]
        assert score == pytest.approx(found.scores["knn"].mean, abs=0.006)
        assert (low, high) == pytest.approx(found.scores["knn"].interval, abs=0.006)
        assert seconds == pytest.approx(found.cost.pretrain_s, abs=0.06)


def test_pareto_front_equals_brute_force() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        points = [(float(c), float(s)) for c, s in generator.integers(0, 12, (20, 2))]
        front = set(cost.pareto(points))
        for at, (price, score) in enumerate(points):
            beaten = any(c <= price and s >= score and (c, s) != (price, score) for c, s in points)
            equal_on_front = any(points[i] == (price, score) for i in front)
            assert equal_on_front is not beaten
            assert not (at in front and beaten)


def test_spearman_equals_scipy_with_ties() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        x, y = generator.integers(0, 6, (2, 15)).astype(float)
        assert label_free.spearman(x.tolist(), y.tolist()) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert math.isnan(label_free.spearman([1, 1, 1], [1, 2, 3]))


def test_interval_of_spearman_equals_scipys_percentile_bootstrap() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=40)
    y = x + generator.normal(size=40)
    reference = scipy.stats.bootstrap(
        (x, y), lambda a, b: scipy.stats.spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=1000, method="percentile"
    ).confidence_interval  # fmt: skip
    assert label_free.interval(x.tolist(), y.tolist()) == pytest.approx((reference.low, reference.high), abs=0.05)


def test_pairs_are_tested_like_two_scores(board: Leaderboard) -> None:
    table = next(t for t in board.tables if numbers.title(t) == DIGITS)
    rows = [row for row in table.rows if row.group == "methods"][:4]
    for i, j, points, p in pairs.compared(rows, "knn"):
        expected = difference(rows[i].answers["knn"], rows[j].answers["knn"])
        assert points == pytest.approx(100 * expected.value)
        assert expected.p - 1e-12 <= p <= min(1, 6 * expected.p) + 1e-12


def test_principal_components_equal_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    features = np.random.default_rng(2).normal(size=(60, 8)) * np.arange(1, 9)
    found, share = principal_components(features)
    reference = PCA(2).fit(features)
    assert np.abs(found) == pytest.approx(np.abs(reference.transform(features)), abs=1e-8)
    assert share == pytest.approx(reference.explained_variance_ratio_.sum())


def test_names_stay_text_and_never_become_expressions(records: list[Record]) -> None:
    odd = "x'];alert(1)//<script>\x1b[2J"
    renamed = [
        replace(r, identity=replace(r.identity, settings={"a": odd})) if r.identity.method == "simclr" else r
        for r in records
    ]
    found = pictures_of(build(renamed, current_versions()), renamed, None)
    assert found
    for picture in found:
        assert "\x1b" not in json.dumps(picture.chart)
        text = json.dumps({key: value for key, value in picture.chart.items() if key != "datasets"})
        for expression in re.findall(r'"(?:expr|filter|test|calculate)": "([^"]*)"', text):
            assert expression == "datum.n === chosen"


def test_a_table_with_a_single_row_has_no_pictures(records: list[Record]) -> None:
    alone = [r for r in records if r.identity.method == "simclr"]
    assert [
        p.id for p in pictures_of(build(alone, current_versions()), alone, None) if not p.id.startswith("curve")
    ] == []


def test_snapshots_become_maps(tmp_path: Path, records: list[Record]) -> None:
    run = next(r for r in records if r.identity.method == "simclr")
    path = Store(tmp_path).snapshots_path(run.identity)
    path.parent.mkdir(parents=True)
    generator = np.random.default_rng(0)
    np.savez(
        path, epochs=[5, 10], features=generator.normal(size=(2, 60, 7)).astype(np.float16), labels=np.arange(60) % 3
    )
    found = [p for p in pictures_of(build([run], current_versions()), [run], tmp_path) if p.id.startswith("map")]
    assert [p.title for p in found] == ["Principal components of simclr", "t-SNE of simclr"]
    assert "after epoch 10" in found[0].caption and found[0].rows == (("0", 20), ("1", 20), ("2", 20))
    path.write_bytes(b"damaged")
    assert not [p for p in pictures_of(build([run], current_versions()), [run], tmp_path) if p.id.startswith("map")]


def test_the_script_is_whole_and_needs_no_network() -> None:
    assert available()
    text = script()
    assert "window.vegaEmbed=" in text and "<script src" not in text and len(text) < 1.2e6


def test_pictures_do_not_import_torch() -> None:
    import subprocess

    code = "import sys, bench.reports.pictures.all_pictures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
