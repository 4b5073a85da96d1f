"""Maps of features in two dimensions, from the snapshots of a run: principal components, and t-SNE."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt

from bench.leaderboard.tables import Table
from bench.records.digest import digest
from bench.records.record import Record
from bench.records.store import Store
from bench.records.stored_files import open_regular
from bench.reports import numbers
from bench.reports.pictures.chart import PALETTE, Values, data, finished
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import identifier, in_colour, name_of
from bench.reports.row_records import by_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 3
"""Runs with maps per table."""
LARGEST = 2**30
"""Largest size of a file's unpacked arrays in bytes; a file with larger ones is not read."""
SEED = 0
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


@dataclass(frozen=True)
class Snapshot:
    """Features of a few hundred images of ``val`` after an epoch.

    Attributes:
        epoch: The epoch.
        features: float [images, dim].
        labels: int [images].
    """

    epoch: int
    features: "NDArray[np.float64]"
    labels: "NDArray[np.int64]"


def pictures(table: Table, records: Sequence[Record], results: Path | None) -> list[Picture]:
    """Return two maps for each of the first rows with snapshots, from the last snapshot of the first seed."""
    if results is None:
        return []
    store, of_row = Store(results), by_row(table, records)
    first = in_colour(table)
    found: list[Picture] = []
    drawn = 0
    for row in [*first, *(row for row in table.rows if row not in first)]:
        record = next(iter(of_row.get(row.label, ())), None)
        snapshot = None if record is None else last_snapshot(store.snapshots_path(record.identity), record)
        if snapshot is None or record is None:
            continue
        found += _maps(table, name_of(row), record.identity.seed, snapshot)
        drawn += 1
        if drawn == MOST:
            break
    return found


def last_snapshot(path: Path, record: Record) -> Snapshot | None:
    """Return a run's last snapshot; None if there is none that can be read, or it is of another run."""
    import zipfile

    import numpy as np

    try:
        with open_regular(path) as opened:
            if sum(entry.file_size for entry in zipfile.ZipFile(opened).infolist()) > LARGEST:
                return None
            with np.load(opened, allow_pickle=False) as file:
                if str(file["identity"]) != digest(record.identity):
                    return None
                features, labels = np.asarray(file["features"][-1], float), np.asarray(file["labels"], np.int64)
                epoch = int(file["epochs"][-1])
    except Exception:  # a damaged archive raises errors of many types; `sslbench run` reports it
        return None
    usable = features.ndim == 2 and labels.shape == (len(features),) and len(features) > 2 and features.shape[1] > 1
    return Snapshot(epoch, features, labels) if usable and np.isfinite(features).all() else None


def principal_components(features: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], float]":
    """Return the first two principal components of each image, and their share of the variance."""
    import numpy as np

    left, lengths, _ = np.linalg.svd(features - features.mean(0), full_matrices=False)
    share = float((lengths[:2] ** 2).sum() / max((lengths**2).sum(), 1e-30))
    return left[:, :2] * lengths[:2], share


def _tsne(features: "NDArray[np.float64]", components: "NDArray[np.float64]") -> Any:
    from sklearn.manifold import TSNE

    # The start of scikit-learn's init="pca".
    start = components / max(float(components[:, 0].std()), 1e-30) * 1e-4
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(perplexity=perplexity, init=start.astype("float32"), random_state=SEED).fit_transform(features)


def _maps(table: Table, name: str, seed: int, snapshot: Snapshot) -> list[Picture]:
    components, share = principal_components(snapshot.features)
    images = f"{len(snapshot.labels)} images of val"
    about = f"Features of {images} after epoch {snapshot.epoch}, seed {seed}; no test image was used. "
    classes = "Classes have their numbers in the data set."
    variance = f"The two components hold {100 * share:.0f} % of the variance. "
    distances = "t-SNE keeps neighbours together; distances between groups mean nothing. "
    plane = _tsne(snapshot.features, components)
    return [
        _picture(
            identifier("map", table, "pca", name),
            table,
            f"Principal components of {name}",
            about + variance + classes,
            components,
            snapshot,
        ),
        _picture(
            identifier("map", table, "tsne", name),
            table,
            f"t-SNE of {name}",
            about + distances + classes,
            plane,
            snapshot,
        ),
    ]


def _picture(id: str, table: Table, title: str, caption: str, places: Any, snapshot: Snapshot) -> Picture:
    classes = sorted(set(snapshot.labels.tolist()))
    position = {label: at for at, label in enumerate(classes)}
    values: list[Values] = [
        {"x": float(x), "y": float(y), "c": str(label)}
        for (x, y), label in zip(places, snapshot.labels.tolist(), strict=True)
    ]
    names = [str(label) for label in classes]
    # Beyond ten classes a colour returns with another shape.
    colours = [PALETTE[at % len(PALETTE)] for at in position.values()]
    shapes = [SHAPES[(at // len(PALETTE) + at) % len(SHAPES)] for at in position.values()]
    legend = alt.Legend(columns=5) if len(names) <= len(PALETTE) else None
    plain = alt.Axis(labels=False, ticks=False, title=None, grid=False)
    chart = (
        alt.Chart(data(values))
        .mark_point(filled=True, size=34, opacity=0.8)
        .encode(
            x=alt.X("x:Q", axis=plain, scale=alt.Scale(zero=False, padding=8)),
            y=alt.Y("y:Q", axis=plain, scale=alt.Scale(zero=False, padding=8)),
            color=alt.Color("c:N", title="class", legend=legend, scale=alt.Scale(domain=names, range=colours)),
            shape=alt.Shape("c:N", title="class", legend=legend, scale=alt.Scale(domain=names, range=shapes)),
            tooltip=[alt.Tooltip("c:N", title="class")],
        )
    )
    counts = [(str(label), int((snapshot.labels == label).sum())) for label in classes]
    return Picture(id, numbers.title(table), title, caption, finished(chart), ("class", "images"), tuple(counts))
