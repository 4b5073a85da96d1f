"""Pictures of the page: their numbers are those of the records, and every plot can be drawn."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair
import numpy as np
import pytest
import vl_convert

from bench.leaderboard.build import build, current_versions
from bench.leaderboard.significance import difference
from bench.leaderboard.tables import Leaderboard
from bench.records.digest import digest
from bench.records.record import Record
from bench.records.store import Store
from bench.reports import numbers
from bench.reports.pictures import chart, cost, maps, pairs
from bench.reports.pictures.all_pictures import pictures_of
from bench.reports.pictures.maps import principal_components
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.runtime import available, script

ROOT = Path(__file__).parents[3] / "results" / "reference"
DIGITS = "digits, resnet9_slim, standard"
KINDS = ("cost-seconds", "cost-images", "labels", "ranks", "pairs", "curve-loss")


def reference(budget: str) -> list[Record]:
    store = Store(ROOT)
    paths = (store.records_dir("test") / "digits" / "resnet9_slim" / budget).rglob("*.json")
    return [record for path in sorted(paths) if isinstance(record := store.read_file(path), Record)]


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return reference("standard")


@pytest.fixture(scope="module")
def quick() -> list[Record]:
    return reference("quick")


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
        "labels-frozen",
        "labels-fine-tuned",
        "ranks",
        "pairs-knn",
        "curve-loss",
    )
    for start in starts:
        picture = of(pictures, start)
        assert picture.caption.endswith(".")
        assert picture.rows and all(len(row) == len(picture.headings) for row in picture.rows)
    assert len({p.id for p in pictures}) == len(pictures)
    assert all(re.fullmatch(r"[a-z0-9-]+", p.id) for p in pictures)


@pytest.mark.parametrize("start", ["cost-seconds-knn", "labels-frozen", "ranks", "pairs-linear", "curve-loss"])
def test_a_plot_is_valid_and_can_be_drawn(pictures: list[Picture], start: str) -> None:
    plot = of(pictures, start).chart
    (altair.LayerChart if "layer" in plot else altair.Chart).from_dict(plot, validate=True)
    assert vl_convert.vegalite_to_svg(json.dumps({**plot, "width": 600})).startswith("<svg")


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


def test_pairs_are_tested_like_two_scores(board: Leaderboard) -> None:
    table = next(t for t in board.tables if numbers.title(t) == DIGITS)
    rows = [row for row in table.rows if row.group == "methods"][:4]
    found = pairs.compared(rows, "knn")
    assert len(found) == 6
    for pair in found:
        expected = difference(rows[pair.first].answers["knn"], rows[pair.second].answers["knn"])
        assert pair.points == pytest.approx(100 * expected.value)
        assert pair.interval == pytest.approx([100 * bound for bound in expected.interval])
        assert expected.p - 1e-12 <= pair.p <= min(1, 6 * expected.p) + 1e-12


def test_images_seen_are_epochs_times_images_of_whole_batches(records: list[Record]) -> None:
    run = next(r for r in records if r.identity.method == "simclr")
    batches = 1438 // run.identity.batch  # digits has 1,438 training images
    assert cost.images_seen(run) == pytest.approx(run.identity.epochs * batches * run.identity.batch)


def test_two_budgets_make_a_picture_of_images_seen(quick: list[Record], records: list[Record]) -> None:
    both = [*quick, *records]
    board = build(both, current_versions(), all_protocols=True)
    found = cost.pictures_of_budgets(board.tables, both)
    assert [p.title for p in found] == [
        f"{column} against images seen in pretraining: digits, resnet9_slim" for column in ("knn", "linear")
    ]
    scores = {f"{row.label}, {table.budget}": row.scores["linear"].mean for table in board.tables for row in table.rows}
    assert all(score == pytest.approx(scores[str(name)], abs=0.006) for name, score, *_ in found[1].rows)
    assert len(found[1].rows) > 30


def test_labels_do_not_overlap_on_a_narrow_screen() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        places = [(float(x), float(y)) for x, y in generator.random((30, 2))]
        names = ["n" * int(length) for length in generator.integers(1, 25, 30)]
        boxes = []
        shown = chart.without_overlap(places, names)
        for at, side in shown.items():
            (x, y), length = places[at], len(names[at]) * chart.CHARACTER
            left = x * chart.NARROW - (length if side == "left" else 0)
            boxes.append((left, left + length, 0.8 * chart.HEIGHT * y))
        assert 0 in shown and len(shown) > 3
        for at, (left, right, height) in enumerate(boxes):
            for other_left, other_right, other_height in boxes[:at]:
                assert right <= other_left or left >= other_right or abs(height - other_height) >= chart.LINE


@pytest.mark.parametrize("colour", chart.PALETTE)
@pytest.mark.parametrize("page", ["#ffffff", "#12161b"])
def test_colours_are_readable_on_the_light_and_on_the_dark_page(colour: str, page: str) -> None:
    def luminance(text: str) -> float:
        parts = [int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(colour), luminance(page)])
    assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.2, 1.4.11


def test_principal_components_equal_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    features = np.random.default_rng(2).normal(size=(60, 8)) * np.arange(1, 9)
    found, share = principal_components(features)
    reference = PCA(2).fit(features)
    assert np.abs(found) == pytest.approx(np.abs(reference.transform(features)), abs=1e-8)
    assert share == pytest.approx(reference.explained_variance_ratio_.sum())


def test_names_stay_text_and_never_become_expressions(quick: list[Record], records: list[Record]) -> None:
    odd = "x'\"];alert(1)//<script>\x1b[2J"
    renamed = [replace(r, identity=replace(r.identity, budget=odd)) for r in quick]
    found = pictures_of(build([*renamed, *records], current_versions()), [*renamed, *records], None)
    drawn = {kind: next(p for p in found if p.id.startswith(kind)) for kind in KINDS}
    for picture in drawn.values():
        assert "\x1b" not in json.dumps(picture.chart)
        compiled = vl_convert.vegalite_to_vega(json.dumps({**picture.chart, "width": 600}))
        for expression in expressions(compiled):
            assert "alert" not in expression and "vicreg" not in expression
    assert "alert" in json.dumps(drawn["cost-images"].chart)


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """Yield all expressions of a compiled Vega specification."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from expressions(entry, name)
    elif isinstance(value, list):
        for entry in value:
            yield from expressions(entry, key)
    elif isinstance(value, str) and key in {"expr", "signal", "test", "update", "init", "filter", "as_expr"}:
        yield value


def test_a_table_with_a_single_row_has_no_pictures(records: list[Record]) -> None:
    alone = [r for r in records if r.identity.method == "simclr"]
    assert [
        p.id for p in pictures_of(build(alone, current_versions()), alone, None) if not p.id.startswith("curve")
    ] == []


@pytest.fixture(scope="module")
def run(records: list[Record]) -> Record:
    return next(r for r in records if r.identity.method == "simclr")


def save_snapshots(path: Path, features: np.ndarray, owner: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(features.shape[1]) % 3
    np.savez_compressed(path, epochs=[5, 10], features=features, labels=labels, identity=np.array(owner))


def test_snapshots_become_maps(tmp_path: Path, run: Record) -> None:
    features = np.random.default_rng(0).normal(size=(2, 60, 7)).astype(np.float16)
    save_snapshots(Store(tmp_path).snapshots_path(run.identity), features, digest(run.identity))
    found = [p for p in pictures_of(build([run], current_versions()), [run], tmp_path) if p.id.startswith("map")]
    assert [p.title for p in found] == ["Principal components of simclr", "t-SNE of simclr"]
    assert "60 images of val after epoch 10" in found[0].caption
    assert found[0].rows == (("0", 20), ("1", 20), ("2", 20))
    for picture in found:
        assert vl_convert.vegalite_to_svg(json.dumps({**picture.chart, "width": 600})).startswith("<svg")


def test_snapshots_of_another_run_damaged_ones_and_archives_that_unpack_to_too_much_are_not_drawn(
    tmp_path: Path, run: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "seed-0.npz"
    features = np.zeros((2, 60, 70_000), np.float16)
    features[:, 1:, 0] = 1
    save_snapshots(path, features[:, :, :7], digest(run.identity))
    assert maps.last_snapshot(path, run) is not None
    older = replace(run, identity=replace(run.identity, method_version=99))
    assert maps.last_snapshot(path, older) is None
    save_snapshots(path, features, digest(run.identity))
    monkeypatch.setattr(maps, "LARGEST", 10 * path.stat().st_size)
    assert maps.last_snapshot(path, run) is None
    path.write_bytes(b"damaged")
    assert maps.last_snapshot(path, run) is None
    assert maps.last_snapshot(tmp_path / "none.npz", run) is None


def test_watched_figures_become_curves(records: list[Record]) -> None:
    watched = {"epoch": [2.0, 4.0], "step": [10.0, 20.0], "knn": [0.5, 0.625], "rankme": [3.0, 4.5]}
    seen = [replace(r, watched=watched) for r in records]
    found = {p.title: p for p in pictures_of(build(seen, current_versions()), seen, None)}
    assert ("simclr", 2, 50.0, 62.5) in found["kNN on val during training"].rows
    assert ("simclr", 2, 3.0, 4.5) in found["RankMe during training"].rows


def test_the_script_is_whole_and_needs_no_network() -> None:
    assert available()
    text = script()
    assert "window.vega=" in text and "<script src" not in text and len(text) < 7e5


def test_pictures_do_not_import_torch() -> None:
    import subprocess

    code = "import sys, bench.reports.pictures.all_pictures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
