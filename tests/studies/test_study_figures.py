"""The figures of a study are drawn from the files of its runs; a figure that cannot be drawn is reported with the reason."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from bench.data import load
from bench.data.spec import DatasetSpec
from bench.records.record import Identity, Measurement, Record
from bench.records.store import Store
from bench.studies.manifest import StudyRuns, SystemRecords
from bench.studies.plots import draw_all
from bench.studies.study import Figure, Study, System


def study(kind: str) -> Study:
    system = System("a", "the one", "autoencoder", "scratch-1pct")
    figure = Figure(kind, ("a",), "A figure")
    return Study("made-up", "T", "", "P.", (), "digits", "mlp", "2ep", 1, (system,), figures=(figure,))


@pytest.fixture
def recorded(tmp_path):
    """Write records with the curves of a pretraining and of a classifier; return the study's runs and the identity."""
    fingerprint = load("digits").fingerprint
    curves = {
        "loss": [2.3, 1.0, 0.5],
        "accuracy": [0.1, 0.6, 0.9],
        "val_step": [0, 50, 100],
        "val_accuracy": [0.1, 0.5, 0.7],
    }
    measured = Measurement(
        1, {"top1": 0.7}, [{"top1": 0.7}], choices={"steps": 100}, curves=curves, correct=["/gA="], images=10
    )
    curve = {"step": list(range(1, 101)), "loss": [1 / n for n in range(1, 101)]}
    for task in ("val", "test"):
        identity = Identity("digits", fingerprint, task, "autoencoder", 1, "mlp", 1, 1, "2ep", 2, 256, 0)
        Store(tmp_path).write(Record(identity, "ok", None, {"scratch-1pct": measured}, curve, classes=10))
    rows = {
        task: {"a": SystemRecords("scratch-1pct", (f"{folder}/digits/mlp/2ep/autoencoder/seed-0.json",))}
        for task, folder in (("test", "records"), ("val", "records-val"))
    }
    return StudyRuns(rows["test"], {}, {}, rows["val"], False), identity


def draw(kind, runs, results):
    messages = []
    pictures = draw_all(study(kind), runs, results, DatasetSpec("digits"), messages.append)
    return pictures, messages


@pytest.mark.parametrize("kind", ["pretraining", "classifiers"])
def test_curves_are_drawn_from_records(kind, recorded, tmp_path):
    ((picture,), messages) = draw(kind, recorded[0], tmp_path)
    assert messages == []
    assert picture.caption.startswith("A figure. ")
    with Image.open(tmp_path / "studies" / "made-up" / picture.file) as image:
        assert image.size[0] > 600
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50


def test_snapshots_are_drawn_by_pca_and_tsne(recorded, tmp_path):
    runs, identity = recorded
    digits = load_digits()
    noise = np.random.default_rng(0).normal(0, 6, (5, 150, 64))
    features = np.stack([digits.data[:150] * n / 4 + noise[n] * (1 - n / 4) for n in range(5)])
    path = Store(tmp_path).snapshots_path(identity)
    path.parent.mkdir(parents=True)
    np.savez(
        path,
        epochs=np.arange(0, 10, 2),
        features=features.astype(np.float16),
        labels=digits.target[:150],
        loss=np.ones(5),
    )
    ((picture,), messages) = draw("snapshots", runs, tmp_path)
    assert messages == []
    assert "150 images of val at 4 of 5 stored epochs" in picture.caption
    with Image.open(tmp_path / "studies" / "made-up" / picture.file) as image:
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("snapshots", "no snapshots at"),
        ("reconstructions", "the last checkpoint of its pretraining is not in the results folder"),
        ("predictions", "has no answers per image"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_reported_with_the_reason(kind, reason, recorded, tmp_path):
    if kind == "predictions":
        label_free = Measurement(1, {"rankme": 3.0})
        Store(tmp_path).write(Record(recorded[1], "ok", protocols={"scratch-1pct": label_free}, classes=10))
    pictures, (message,) = draw(kind, recorded[0], tmp_path)
    assert pictures == []
    assert reason in message
