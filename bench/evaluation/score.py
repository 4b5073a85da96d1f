"""Compares predictions with the test labels. No other module of ``bench``, ``methods`` or ``protocols`` opens test labels."""

import base64
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bench.data.dataset import SealedLabels
from bench.errors import Diverged
from bench.evaluation.calibration_error import calibration_error
from bench.evaluation.cluster_scores import assigned_classes, cluster_scores
from protocols.base import Predictions

TOP = 5
MEASURED = frozenset({"top1", "top5", "mean_class", "nll", "nmi", "ari", "ece", "overconfidence"})
"""Measures that are computed here and only here."""
VALIDATION_CURVES = frozenset({"val_step", "val_accuracy"})


@dataclass(frozen=True)
class Scores:
    """Metrics of one protocol's predictions.

    Attributes:
        metrics: Means over the draws, and measures that need no labels.
        draws: Metrics of each draw.
        variants: Metrics under other constants of the protocol, and in each fixed condition.
        correct: For each draw, one bit per test image, packed (most significant bit first) in base64.
        largest_class: Share of the largest class among the test images, in [0, 1]; None if no predictions were compared.
        curves: ``val_step`` and ``val_accuracy``, in [0, 1], if the protocol also predicted during training (development task only).
    """

    metrics: dict[str, float]
    draws: list[dict[str, float]]
    variants: dict[str, dict[str, float]]
    correct: list[str]
    largest_class: float | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)


def score(predictions: Predictions, sealed: SealedLabels, classes: int) -> Scores:
    """Compare predictions with the test labels, which are opened once.

    Raises:
        Diverged: Scores or confidences are not finite.
        ValueError: Scores, clusters or confidences have the wrong shape, a measure of the protocol's own has the name of a measured one or
            is no finite number, or there are predictions during training on another task than the development task.
    """
    _check_names(predictions)
    if predictions.trail and not sealed.development:
        raise ValueError(
            "predictions during training on the test task: only final predictions may be compared with its labels"
        )
    if predictions.clusters is not None:
        return _score_clusters(predictions.clusters, predictions.metrics, sealed.open(), classes)
    if predictions.confidences is not None:
        metrics_of_bins, curves = calibration_error(predictions.confidences, sealed.open())
        return Scores(metrics_of_bins | predictions.metrics, [], {}, [], curves=curves)
    if not predictions.scores:
        return Scores(dict(predictions.metrics), [], {}, [])
    labels = sealed.open()
    blocks = [_validated(block, len(labels), classes) for block in predictions.scores]
    draws = [metrics(block, labels) for block in blocks]
    means = {name: math.fsum(draw[name] for draw in draws) / len(draws) for name in draws[0]}
    variants = {
        name: metrics(_validated(block, len(labels), classes), labels) for name, block in predictions.variants.items()
    }
    return Scores(
        metrics=means | predictions.metrics,
        draws=draws,
        variants=variants | dict(zip(predictions.conditions, draws, strict=False)),
        largest_class=_largest_class(labels),
        correct=[pack((block.argmax(1) == labels).numpy()) for block in blocks],
        curves=_validation_curves(predictions, labels),
    )


def right_after_each_epoch(answers: Int[Tensor, "epochs test"], sealed: SealedLabels) -> Bool[Tensor, "epochs test"]:
    """Return which answers of a finished run were right after each epoch of its training; the labels are opened once.

    Whoever chooses an epoch by this chooses on the test images. Only ``bench.studies.best_epoch`` calls it, to show what that adds to a
    published table; nothing else in sslbench may.

    Raises:
        ValueError: The answers are to another number of images.
    """
    labels = sealed.open()
    if answers.ndim != 2 or answers.shape[1] != len(labels):
        raise ValueError(
            f"answers have shape {tuple(answers.shape)}, expected one per epoch and each of {len(labels)} images"
        )
    return answers == labels


def metrics(scores: Float[Tensor, "test classes"], labels: Int[Tensor, " test"]) -> dict[str, float]:
    """Return top-1, top-5 and mean per-class accuracy, all in [0, 1], and the negative log-likelihood in nats.

    Top-5 needs more than five classes. If the true class is tied with others at the edge of the top five, it counts with the
    probability that a random order of the tied classes includes it.
    """
    true = scores.gather(1, labels[:, None])
    result = _accuracies(scores.argmax(1) == labels, labels, scores.shape[1]) | {"nll": -true.double().mean().item()}
    if scores.shape[1] > TOP:
        above = (scores > true).sum(1)
        tied = (scores == true).sum(1)
        result["top5"] = ((TOP - above) / tied).clamp(0, 1).double().mean().item()
    return result


def _accuracies(right: Bool[Tensor, " test"], labels: Int[Tensor, " test"], classes: int) -> dict[str, float]:
    counts = torch.bincount(labels, minlength=classes)
    hits = torch.bincount(labels, weights=right.double(), minlength=classes)
    present = counts > 0
    return {"top1": right.double().mean().item(), "mean_class": (hits[present] / counts[present]).mean().item()}


def _score_clusters(
    clusters: Int[Tensor, " test"], own: dict[str, float], labels: Int[Tensor, " test"], classes: int
) -> Scores:
    """Return the accuracies of clusters that are assigned to the classes one to one, NMI and ARI."""
    right = assigned_classes(clusters, labels, classes) == labels
    found = _accuracies(right, labels, classes) | cluster_scores(clusters, labels)
    return Scores(found | own, [found], {}, [pack(right.numpy())], _largest_class(labels))


def _largest_class(labels: Int[Tensor, " test"]) -> float:
    return torch.bincount(labels).max().item() / len(labels)


def _validation_curves(predictions: Predictions, labels: Int[Tensor, " test"]) -> dict[str, list[float]]:
    if not predictions.trail:
        return {}
    return {
        "val_step": [float(step) for step, _ in predictions.trail],
        "val_accuracy": [(classes == labels).double().mean().item() for _, classes in predictions.trail],
    }


def pack(bits: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> str:
    """Pack one bit per test image into base64, most significant bit first."""
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def _check_names(predictions: Predictions) -> None:
    """Refuse names by which a protocol would replace what is measured here, and measures that are no numbers."""
    for names, measured, kind in (
        (predictions.metrics, MEASURED, "measure"),
        (predictions.curves, VALIDATION_CURVES, "curve"),
    ):
        if clash := sorted(measured & names.keys()):
            raise ValueError(
                f"the protocol returns a {kind} named '{clash[0]}', which is measured on the test labels; give it another name"
            )
    for name, value in predictions.metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"the protocol's measure '{name}' is {value!r}; return a finite number")


def _validated(block: Tensor, images: int, classes: int) -> Tensor:
    block = block.detach().to("cpu", torch.float32)
    if tuple(block.shape) != (images, classes):
        raise ValueError(f"predictions have shape {tuple(block.shape)}, expected {(images, classes)}")
    if not bool(torch.isfinite(block).all()):
        raise Diverged("the predictions are not finite")
    return block
