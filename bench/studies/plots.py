"""The figures of a study as PNG: loss and accuracy curves, and maps of features. ``image_plots.py`` draws those with images."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.atomic import write_whole
from bench.data.imagenette import titled
from bench.data.spec import DatasetSpec
from bench.records.store import Store
from bench.studies.image_plots import CannotDraw, predictions, reconstructions
from bench.studies.manifest import Picture, StudyRuns, folder_of, records_of
from bench.studies.study import Figure, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


# Titles and names are text from files: a dollar sign in them starts no formula.
matplotlib.rcParams["text.parse_math"] = False

DPI = 110
SMALLEST_SNAPSHOT = 10
"""Fewest images of a snapshot for which PCA and t-SNE are drawn."""
EPOCHS_SHOWN = 4
"""Number of epochs of the snapshots that are drawn: the first, the last and some between them."""


def draw_all(
    study: Study, runs: StudyRuns, results: Path, dataset: DatasetSpec, on_message: Callable[[str], None]
) -> list[Picture]:
    """Draw all figures of a study that can be drawn. For each other one, ``on_message`` receives the reason."""
    pictures = []
    for number, figure in enumerate(study.figures, 1):
        try:
            canvas, caption = _draw(figure, study, runs, results, dataset)
        except CannotDraw as reason:
            on_message(f"figure {figure.title!r} is left out: {reason}")
            continue
        file = f"{number}-{figure.kind}.png"
        path = folder_of(results, study.name) / file
        write_whole(path, lambda part, canvas=canvas: canvas.savefig(part, format="png", dpi=DPI))  # type: ignore[misc]
        plt.close(canvas)
        pictures.append(Picture(file, f"{figure.title}. {caption}"))
    return pictures


def _draw(figure: Figure, study: Study, runs: StudyRuns, results: Path, dataset: DatasetSpec) -> tuple["Canvas", str]:
    match figure.kind:
        case "reconstructions":
            return reconstructions(figure, study, runs, results, dataset)
        case "predictions":
            return predictions(figure, study, runs, results, dataset)
        case "pretraining":
            return pretraining(figure, study, runs, results)
        case "classifiers":
            return classifiers(figure, study, runs, results)
        case "snapshots":
            return snapshots(figure, study, runs, results, dataset)
        case "epochs":
            return epochs(figure, study, runs)


def pretraining(figure: Figure, study: Study, runs: StudyRuns, results: Path) -> tuple["Canvas", str]:
    """Draw the loss of each pretraining over its steps: the mean over seeds, and the range as a band."""
    canvas, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    drawn = False
    for id in figure.systems:
        records = [r for r in records_of(results, runs.systems[id]) if r.curve.get("loss")]
        if not records:
            continue
        steps = np.array(records[0].curve["step"])
        same_steps = [r for r in records if r.curve["step"] == records[0].curve["step"]]
        losses = np.array([r.curve["loss"] for r in same_steps])
        (line,) = axes.plot(steps, losses.mean(0), label=study.system(id).name, linewidth=1.6)
        if len(same_steps) > 1:
            axes.fill_between(steps, losses.min(0), losses.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
        drawn = True
    if not drawn:
        raise CannotDraw("none of its records has a loss curve")
    _label(axes, figure.title, "step", "pretraining loss")
    axes.set_ylim(*_limits([line.get_ydata() for line in axes.get_lines()]))
    axes.legend(fontsize=8, frameon=False)
    return canvas, "Line: mean over seeds; band: smallest to largest value over seeds. Every value is finite."


def classifiers(figure: Figure, study: Study, runs: StudyRuns, results: Path) -> tuple["Canvas", str]:
    """Draw the training loss and accuracy of each classifier, and its accuracy on val of the development task."""
    canvas, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    count = 0
    for id in figure.systems:
        row = runs.validated.get(id)
        records = records_of(results, row) if row else []
        found = [m for r in records if row and (m := r.protocols.get(row.protocol))]
        if not found or "loss" not in found[0].curves:
            continue
        curves, steps = found[0].curves, int(found[0].choices.get("steps") or len(found[0].curves["loss"]))
        x = (np.arange(len(curves["loss"])) + 0.5) * steps / len(curves["loss"])
        name = study.system(id).name
        (line,) = left.plot(x, curves["loss"], linewidth=1.6, label=name)
        right.plot(x, 100 * np.array(curves["accuracy"]), color=line.get_color(), linestyle=":", linewidth=1.4)
        if "val_accuracy" in curves:
            val = 100 * np.array(curves["val_accuracy"])
            right.plot(
                curves["val_step"],
                val,
                color=line.get_color(),
                linewidth=1.8,
                label=f"{name}: {val[-1]:.1f} at the end",
            )
        count += 1
    if not count:
        raise CannotDraw("no run on the development task has the curves of a classifier trained by steps")
    _label(left, "Loss on the labelled images", "step", "cross-entropy")
    left.set_ylim(0, 1.05 * max(float(np.max(line.get_ydata())) for line in left.get_lines()))
    left.legend(fontsize=8, frameon=False)
    _label(right, "Accuracy: dotted in training, solid on val", "step", "percent")
    right.set_ylim(0, 101)
    if right.get_legend_handles_labels()[0]:
        right.legend(fontsize=8, frameon=False, loc="lower right")
    canvas.suptitle(figure.title)
    return (
        canvas,
        "Training on few labels, on the development task. Dotted: augmented training batches; solid: held-out val images.",
    )


def epochs(figure: Figure, study: Study, runs: StudyRuns) -> tuple["Canvas", str]:
    """Draw the accuracy on the test images after every epoch, with a point at the epoch that is best on them; of each system the first run."""
    canvas, axes = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
    colours = plt.get_cmap("tab20")(np.linspace(0, 1, max(len(figure.systems), 2)))
    for id, colour in zip(figure.systems, colours, strict=False):
        for run in runs.best_epochs.get(id, ())[:1]:
            axes.plot(run.epochs, 100 * np.array(run.top1), color=colour, linewidth=1.3, label=study.system(id).name)
            axes.plot(run.epoch, 100 * max(run.top1), "o", color=colour, markersize=5)
    if not axes.get_lines():
        raise CannotDraw("none of its systems has answers after every epoch")
    _label(axes, figure.title, "epoch", "percent")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return (
        canvas,
        "Accuracy on the test images after every epoch, of the first seed; the point is the epoch that is best on the test images. "
        "Choosing it in this way is allowed nowhere else in sslbench.",
    )


def snapshots(
    figure: Figure, study: Study, runs: StudyRuns, results: Path, dataset: DatasetSpec
) -> tuple["Canvas", str]:
    """Draw the stored features of some epochs by PCA and by t-SNE, with one colour per class."""
    (id,) = figure.systems[:1]
    records = records_of(results, runs.systems[id])
    if not records:
        raise CannotDraw(f"{study.system(id).name} has no record")
    path = Store(results).snapshots_path(records[0].identity)
    if not path.is_file():
        raise CannotDraw(f"no snapshots at {path}")
    with np.load(path) as stored:
        epochs, features, labels = stored["epochs"], stored["features"].astype(np.float32), stored["labels"]
    if len(labels) < SMALLEST_SNAPSHOT or not len(epochs):
        raise CannotDraw(f"{path} has too few features to draw")
    names = titled(dataset.load().class_names)
    colours = np.array(plt.get_cmap("tab10" if len(names) <= 10 else "tab20").colors)  # type: ignore[attr-defined]
    shown = np.unique(np.linspace(0, len(epochs) - 1, EPOCHS_SHOWN).round().astype(int))
    canvas, grid = plt.subplots(
        2, len(shown), figsize=(3.1 * len(shown) + 0.4, 6.6), layout="constrained", squeeze=False
    )
    for column, index in enumerate(shown):
        for row, (kind, points) in enumerate(_maps(features[index])):
            axes = grid[row][column]
            axes.scatter(points[:, 0], points[:, 1], c=colours[labels % len(colours)], s=9, linewidth=0)
            axes.set_title(f"{kind}, epoch {int(epochs[index])}", fontsize=10)
            axes.set_xticks([])
            axes.set_yticks([])
            for side in axes.spines.values():
                side.set_color("0.8")
    if len(names) <= len(colours):
        canvas.legend(
            handles=[
                Line2D([], [], color=colour, marker="o", linestyle="", label=name)
                for colour, name in zip(colours, names, strict=False)
            ],
            loc="outside lower center",
            ncols=10,
            frameon=False,
            fontsize=9,
            handletextpad=0.2,
        )
    canvas.suptitle(f"{figure.title}: {len(labels)} images, one colour per class")
    return (
        canvas,
        f"Features of {len(labels)} images of val at {len(shown)} of {len(epochs)} stored epochs; "
        "the encoder is in evaluation mode.",
    )


def _maps(features: "np.ndarray[Any, Any]") -> Iterator[tuple[str, "np.ndarray[Any, Any]"]]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    yield "PCA", PCA(2, random_state=0).fit_transform(features)
    perplexity = min(30.0, (len(features) - 1) / 3)
    yield "t-SNE", TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(features)


def _label(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(curves: Sequence[Any]) -> tuple[float, float]:
    """Return limits of the y axis without the first twentieth of the steps, whose steep fall would flatten the rest."""
    late = np.concatenate([np.asarray(curve)[len(curve) // 20 :] for curve in curves])
    low, high = float(late.min()), float(late.max())
    room = 0.05 * max(high - low, 1e-6)
    return low - room, high + room
