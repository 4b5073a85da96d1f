"""Pictures of images for a study: originals against reconstructions, predictions right and wrong."""

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
from bench.studies.manifest import Missing, Runs, first_record, records_of
from bench.studies.study import Figure, Study
from bench.views.prepare import prepare
from methods.base import Encoder, input_of
from protocols.catalogue import load, resolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from bench.data.dataset import Dataset
    from bench.records.record import Record

SHOWN = 12
LOOKED_AT = 2000
VARIES = 0.05
"""Deviation over images, of pixels in [0, 1], from which a pixel should not stay the same in all reconstructions."""
STUCK = 1e-3
RIGHT, WRONG = "#2a7f3f", "#c0392b"


def reconstructions(
    figure: Figure, study: Study, runs: Runs, results: Path, source: DatasetSpec
) -> tuple["Canvas", str]:
    """Draw test images above their reconstructions by each system, and count the pixels that are stuck."""
    dataset: Dataset | None = None
    rows: list[tuple[str, Any]] = []
    told = []
    for id in figure.systems:
        record = first_record(records_of(results, runs.systems[id]))
        dataset = dataset or source.load()
        pixels = _reconstructed(record, dataset, results)
        some = dataset.test_images[_evenly(len(dataset.test_images), LOOKED_AT)].float() / 255
        stuck = int(((some.std(0) > VARIES) & (pixels.std(0) < STUCK)).sum())
        error = float((pixels - some).square().mean())
        shown = _evenly(len(some), SHOWN)
        rows.append((f"{study.system(id).name}\n{stuck} stuck pixels", pixels[shown]))
        originals = some[shown]
        told.append(f"{study.system(id).name}: mean squared error {error:.4f} of pixels in [0, 1], {stuck} stuck")
    assert dataset is not None
    rows.insert(0, ("originals", originals))
    canvas, grid = plt.subplots(
        len(rows), SHOWN, figsize=(0.95 * SHOWN + 2.2, 1.0 * len(rows) + 0.5), layout="constrained", squeeze=False
    )
    for line, (name, images) in zip(grid, rows, strict=True):
        for axes, image in zip(line, images, strict=True):
            _show(axes, image)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    canvas.suptitle(figure.title)
    counted = f"of the pixels whose deviation over {min(LOOKED_AT, len(dataset.test_images)):,} test images is above {VARIES:g}"
    return canvas, f"Stuck: the same in all reconstructions, {counted}. {'; '.join(told)}."


def predictions(figure: Figure, study: Study, runs: Runs, results: Path, source: DatasetSpec) -> tuple["Canvas", str]:
    """Draw test images with what a system says they are: right ones and wrong ones, by the bits that its record keeps."""
    (id,) = figure.systems[:1]
    place = runs.systems[id]
    record = first_record(records_of(results, place))
    measured = record.protocols.get(place.protocol)
    if measured is None or not measured.correct:
        raise Missing(f"{study.system(id).name} has no answers in its record")
    dataset = source.load()
    packed = np.frombuffer(base64.b64decode(measured.correct[0]), np.uint8)
    right = np.unpackbits(packed, count=measured.images).astype(bool)
    said = _said(record, dataset, results, place.protocol)
    canvas, grid = plt.subplots(2, SHOWN, figsize=(1.05 * SHOWN + 0.6, 3.3), layout="constrained", squeeze=False)
    names = titled(dataset.class_names)
    for line, wanted, colour in ((grid[0], True, RIGHT), (grid[1], False, WRONG)):
        chosen = np.flatnonzero(right == wanted)
        chosen = chosen[_evenly(len(chosen), SHOWN)]
        for axes in line[len(chosen) :]:
            axes.axis("off")
        for axes, index in zip(line, chosen, strict=False):
            _show(axes, dataset.test_images[int(index)].float() / 255, colour)
            axes.set_title(names[int(said[index])], fontsize=8, color=colour)
        line[0].set_ylabel("right" if wanted else "wrong", fontsize=10, color=colour)
    canvas.suptitle(figure.title)
    share = f"{len(right):,} test images, {100 * right.mean():.1f} % right"
    return (
        canvas,
        f"Above each image what was predicted: right and wrong ones, spread evenly over {share} (first draw of seed {record.identity.seed}).",
    )


def _reconstructed(record: "Record", dataset: "Dataset", results: Path) -> Tensor:
    """Return reconstructions of some test images, as pixels of [0, 1]."""
    method = load_method(record.identity.method)
    if not hasattr(method, "reconstruct"):
        raise Missing(f"{record.identity.method} does not reconstruct images")
    state = load_checkpoint(Store(results).last_path(record.identity), record.identity)
    if state is None:
        raise Missing("the last state of its training is not kept here")
    built = build_method(record.identity, dataset)
    built.load_state_dict(state["method"])
    built.eval()
    spec = input_of(dataset.traits)
    images = dataset.test_images[_evenly(len(dataset.test_images), LOOKED_AT)]
    with torch.no_grad():
        parts = [
            cast(Any, built).reconstruct(prepare(part, spec, torch.device("cpu"))) for part in torch.split(images, 500)
        ]
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (spec.mean, spec.std))
    return torch.cat(parts).float() * std + mean


def _said(record: "Record", dataset: "Dataset", results: Path, protocol: str) -> Tensor:
    """Return the class that a protocol's first draw predicts for each test image, by the stored encoder."""
    of = record.identity
    stored = stored_encoder(Store(results).encoder_path(of), of)
    if stored is None:
        raise Missing("its encoder is not kept here")
    encoder: Encoder = build_method(of, dataset).encoder().eval()
    encoder.load_state_dict(stored[0])
    entry = resolve(protocol)
    if "draws" in entry.constants:
        entry = replace(entry, constants={**entry.constants, "draws": 1})
    evaluation = Evaluation(encoder, dataset, of.backbone, of.seed)
    return load(entry).predict(evaluation.task(protocol)).scores[0].argmax(1)


def _evenly(count: int, most: int) -> Tensor:
    """Return at most so many positions, evenly spread: images of a folder are sorted by class."""
    return torch.linspace(0, max(count - 1, 0), min(count, most)).round().long()


def _show(axes: Any, image: Tensor, frame: str = "0.8") -> None:
    pixels = image.clamp(0, 1).permute(1, 2, 0).numpy()
    axes.imshow(
        pixels if pixels.shape[2] == 3 else pixels[:, :, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(frame)
        side.set_linewidth(1.6 if frame != "0.8" else 0.8)
