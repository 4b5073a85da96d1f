"""The figures of a study that show images: originals and reconstructions, right and wrong predictions."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from bench.data.imagenette import titled
from bench.data.spec import DatasetSpec
from bench.evaluation.evaluate import Evaluation
from bench.execution.encoder import build_method
from bench.records.checkpoints import load_checkpoint, stored_encoder
from bench.records.store import Store
from bench.registry.methods import load_method
from bench.studies.manifest import StudyRuns, SystemRecords, records_of
from bench.studies.study import Figure, Study
from bench.views.prepare import prepare
from methods.base import Encoder, input_of
from protocols.catalogue import load, resolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from bench.data.dataset import Dataset
    from bench.records.record import Record

IMAGES_SHOWN = 12
IMAGES_COMPARED = 2000
VARYING = 0.05
"""Smallest standard deviation over images, of pixels in [0, 1], of a pixel that a reconstruction should reproduce."""
STUCK = 1e-3
"""Largest standard deviation over reconstructions of a pixel that counts as stuck."""
RIGHT, WRONG = "#2a7f3f", "#c0392b"


class CannotDraw(Exception):
    """A figure cannot be drawn; the message is the reason."""


def reconstructions(
    figure: Figure, study: Study, runs: StudyRuns, results: Path, dataset: DatasetSpec
) -> tuple["Canvas", str]:
    """Draw test images and their reconstructions by each system, and count the stuck pixels."""
    loaded: Dataset | None = None
    rows: list[tuple[str, Any]] = []
    errors = []
    for id in figure.systems:
        record = _first_record(results, runs.systems[id])
        loaded = loaded or dataset.load()
        pixels = _reconstructed(record, loaded, results)
        compared = loaded.test_images[_evenly_spaced(len(loaded.test_images), IMAGES_COMPARED)].float() / 255
        stuck = int(((compared.std(0) > VARYING) & (pixels.std(0) < STUCK)).sum())
        error = float((pixels - compared).square().mean())
        shown = _evenly_spaced(len(compared), IMAGES_SHOWN)
        rows.append((f"{study.system(id).name}\n{stuck} stuck pixels", pixels[shown]))
        originals = compared[shown]
        errors.append(f"{study.system(id).name}: mean squared error {error:.4f} of pixels in [0, 1], {stuck} stuck")
    assert loaded is not None
    rows.insert(0, ("originals", originals))
    canvas, grid = plt.subplots(
        len(rows),
        IMAGES_SHOWN,
        figsize=(0.95 * IMAGES_SHOWN + 2.2, 1.0 * len(rows) + 0.5),
        layout="constrained",
        squeeze=False,
    )
    for line, (name, images) in zip(grid, rows, strict=True):
        for axes, image in zip(line, images, strict=True):
            _draw_image(axes, image)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    canvas.suptitle(figure.title)
    count = min(IMAGES_COMPARED, len(loaded.test_images))
    return (
        canvas,
        f"A pixel is stuck if it is the same in all reconstructions although its standard deviation over {count:,} test images "
        f"is above {VARYING:g}. {'; '.join(errors)}.",
    )


def predictions(
    figure: Figure, study: Study, runs: StudyRuns, results: Path, dataset: DatasetSpec
) -> tuple["Canvas", str]:
    """Draw test images with the class that a system predicts: right predictions above, wrong ones below."""
    (id,) = figure.systems[:1]
    row = runs.systems[id]
    record = _first_record(results, row)
    measurement = record.protocols.get(row.protocol)
    if measurement is None or not measurement.correct:
        raise CannotDraw(f"the record of {study.system(id).name} has no answers per image")
    loaded = dataset.load()
    packed = np.frombuffer(base64.b64decode(measurement.correct[0]), np.uint8)
    right = np.unpackbits(packed, count=measurement.images).astype(bool)
    predicted = _predicted_classes(record, loaded, results, row.protocol)
    canvas, grid = plt.subplots(
        2, IMAGES_SHOWN, figsize=(1.05 * IMAGES_SHOWN + 0.6, 3.3), layout="constrained", squeeze=False
    )
    names = titled(loaded.class_names)
    for line, wanted, colour in ((grid[0], True, RIGHT), (grid[1], False, WRONG)):
        chosen = np.flatnonzero(right == wanted)
        chosen = chosen[_evenly_spaced(len(chosen), IMAGES_SHOWN)]
        for axes in line[len(chosen) :]:
            axes.axis("off")
        for axes, index in zip(line, chosen, strict=False):
            _draw_image(axes, loaded.test_images[int(index)].float() / 255, colour)
            axes.set_title(names[int(predicted[index])], fontsize=8, color=colour)
        line[0].set_ylabel("right" if wanted else "wrong", fontsize=10, color=colour)
    canvas.suptitle(figure.title)
    return (
        canvas,
        f"The predicted class is above each image. The right and the wrong ones are spread evenly over {len(right):,} test images, "
        f"{100 * right.mean():.1f} % right (first draw of the labels, seed {record.identity.seed}).",
    )


def _first_record(results: Path, row: SystemRecords) -> "Record":
    """Return the record with the smallest seed."""
    records = records_of(results, row)
    if not records:
        raise CannotDraw("it has no record")
    return min(records, key=lambda r: r.identity.seed)


def _reconstructed(record: "Record", dataset: "Dataset", results: Path) -> Tensor:
    """Return the reconstructions of evenly spaced test images, N×C×H×W, as pixels in [0, 1]."""
    method = load_method(record.identity.method)
    if not hasattr(method, "reconstruct"):
        raise CannotDraw(f"{record.identity.method} does not reconstruct images")
    state = load_checkpoint(Store(results).last_path(record.identity), record.identity)
    if state is None:
        raise CannotDraw("the last checkpoint of its pretraining is not in the results folder")
    built = build_method(record.identity, dataset)
    built.load_state_dict(state["method"])
    built.eval()
    spec = input_of(dataset.traits)
    images = dataset.test_images[_evenly_spaced(len(dataset.test_images), IMAGES_COMPARED)]
    with torch.no_grad():
        parts = [
            cast(Any, built).reconstruct(prepare(part, spec, torch.device("cpu"))) for part in torch.split(images, 500)
        ]
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (spec.mean, spec.std))
    return torch.cat(parts).float() * std + mean


def _predicted_classes(record: "Record", dataset: "Dataset", results: Path, protocol: str) -> Tensor:
    """Return the class that the protocol's first draw predicts for each test image, from the stored encoder."""
    identity = record.identity
    stored = stored_encoder(Store(results).encoder_path(identity), identity)
    if stored is None:
        raise CannotDraw("its encoder is not in the results folder")
    encoder: Encoder = build_method(identity, dataset).encoder().eval()
    encoder.load_state_dict(stored[0])
    entry = resolve(protocol)
    if "draws" in entry.constants:
        entry = replace(entry, constants={**entry.constants, "draws": 1})
    evaluation = Evaluation(encoder, dataset, identity.backbone, identity.seed)
    return load(entry).predict(evaluation.task(protocol)).scores[0].argmax(1)


def _evenly_spaced(count: int, most: int) -> Tensor:
    """Return at most ``most`` evenly spaced indices below ``count``; the images of a folder are sorted by class."""
    return torch.linspace(0, max(count - 1, 0), min(count, most)).round().long()


def _draw_image(axes: Any, image: Tensor, frame: str = "0.8") -> None:
    pixels = image.clamp(0, 1).permute(1, 2, 0).numpy()
    axes.imshow(
        pixels if pixels.shape[2] == 3 else pixels[:, :, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(frame)
        side.set_linewidth(1.6 if frame != "0.8" else 0.8)
