"""Maps of features in two dimensions, from the snapshots of a run: principal components, and t-SNE."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt

from bench.leaderboard.tables import Table
from bench.records.record import Record
from bench.records.store import Store
from bench.records.stored_files import open_regular
from bench.reports import numbers
from bench.reports.pictures.chart import Values, data, finished
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import by_row, identifier, in_colour, name_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 6
"""Runs with maps per table."""
LARGEST_FILE = 2**30
SEED = 0


def pictures(table: Table, records: Sequence[Record], results: Path | None) -> list[Picture]:
    """Return two maps for each of the first rows with snapshots, from the last snapshot of the first seed."""
    if results is None:
        return []
    store, of_row = Store(results), by_row(table, records)
    first = [row.label for row in in_colour(table)]
    found = []
    for label in [*first, *(row.label for row in table.rows if row.label not in first)]:
        record = next(iter(of_row.get(label, ())), None)
        snapshot = None if record is None else _last_snapshot(store.snapshots_path(record.identity))
        if snapshot is not None:
            found.append((next(row for row in table.rows if row.label == label), snapshot))
        if len(found) == MOST:
            break
    return [picture for row, snapshot in found for picture in _maps(table, name_of(row), *snapshot)]


def _last_snapshot(path: Path) -> "tuple[int, NDArray[np.float64], NDArray[np.int64]] | None":
    """Return the epoch, features and labels of a run's last snapshot; None if there is none that can be read."""
    import numpy as np

    try:
        if path.stat().st_size > LARGEST_FILE:
            return None
        with open_regular(path) as opened, np.load(opened, allow_pickle=False) as file:
            features, labels = np.asarray(file["features"][-1], float), np.asarray(file["labels"], np.int64)
            epoch = int(file["epochs"][-1])
    except Exception:  # a damaged archive raises errors of many types; `sslbench run` reports it
        return None
    usable = (
        features.ndim == 2
        and len(features) == len(labels) > 2
        and features.shape[1] > 1
        and np.isfinite(features).all()
    )
    return (epoch, features, labels) if usable else None


def principal_components(features: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], float]":
    """Return the first two principal components of each image, and their share of the variance."""
    import numpy as np

    centred = features - features.mean(0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    share = float((lengths[:2] ** 2).sum() / max((lengths**2).sum(), 1e-30))
    return left[:, :2] * lengths[:2], share


def _tsne(features: "NDArray[np.float64]") -> Any:
    from sklearn.manifold import TSNE

    return TSNE(perplexity=min(30.0, (len(features) - 1) / 3), init="pca", random_state=SEED).fit_transform(features)


def _maps(table: Table, name: str, epoch: int, features: Any, labels: Any) -> list[Picture]:
    places, share = principal_components(features)
    kinds = (
        (
            "pca",
            f"Principal components of {name}",
            places,
            f"The first two principal components hold {100 * share:.0f} % of the variance",
        ),
        (
            "tsne",
            f"t-SNE of {name}",
            _tsne(features),
            "t-SNE keeps neighbours together; distances between groups mean nothing",
        ),
    )
    return [_picture(table, name, kind, title, where, caption, epoch, labels) for kind, title, where, caption in kinds]


def _picture(
    table: Table, name: str, kind: str, title: str, places: Any, caption: str, epoch: int, labels: Any
) -> Picture:
    values: list[Values] = [
        {"x": float(x), "y": float(y), "c": str(int(label))} for (x, y), label in zip(places, labels, strict=True)
    ]
    classes = sorted({value["c"] for value in values}, key=int)
    plain = alt.Axis(labels=False, ticks=False, title=None, grid=False)
    colour = alt.Color(
        "c:N", title="class", sort=classes, scale=alt.Scale(scheme="tableau10" if len(classes) <= 10 else "tableau20")
    )
    chart = (
        alt.Chart(data(values))
        .mark_point(filled=True, size=28, opacity=0.8)
        .encode(
            x=alt.X("x:Q", axis=plain),
            y=alt.Y("y:Q", axis=plain),
            color=colour,
            tooltip=[alt.Tooltip("c:N", title="class")],
        )
    )
    return Picture(
        identifier("map", table, kind, name),
        numbers.title(table),
        title,
        f"{caption}; features of {len(values)} images of val after epoch {epoch}, first seed. Classes by their number; no test image was used.",
        finished(chart),
        ("class", "images"),
        tuple((name, sum(value["c"] == name for value in values)) for name in classes),
    )
