"""Expected calibration error: how far the confidence of a classifier is from the share of its right answers."""

import torch
from jaxtyping import Int
from torch import Tensor

from bench.errors import Diverged
from protocols.base import Confidences


def calibration_error(
    found: Confidences, labels: Int[Tensor, " test"]
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return ``ece`` and ``overconfidence``, and the curves ``bin_confidence`` and ``bin_accuracy``, all in [0, 1].

    ``ece`` is the distance between accuracy and mean confidence of a bin, averaged over the images (Guo 2017, arXiv:1706.04599,
    equation 3); ``overconfidence`` is the mean confidence minus the accuracy, negative if the classifier is too unsure. The curves have one
    point for each bin with images.

    Raises:
        Diverged: A confidence is not finite.
        ValueError: The predictions are not one for each test image, or a value is impossible.
    """
    for name, values in (("predicted", found.predicted), ("confidence", found.confidence), ("bins", found.bins)):
        if tuple(values.shape) != (len(labels),):
            raise ValueError(f"{name} of the confidences has shape {tuple(values.shape)}, expected {(len(labels),)}")
    confidence = found.confidence.detach().cpu().double()
    if not bool(torch.isfinite(confidence).all()):
        raise Diverged("the confidences are not finite")
    if float(confidence.min()) < 0 or float(confidence.max()) > 1:
        raise ValueError(
            f"confidences from {float(confidence.min()):g} to {float(confidence.max()):g}; they are 0 to 1"
        )
    right = (found.predicted.detach().cpu() == labels).double()
    _, bins = torch.unique(found.bins.detach().cpu(), return_inverse=True)
    counts = torch.bincount(bins).double()
    confidences, accuracies = (torch.bincount(bins, weights=values) / counts for values in (confidence, right))
    ece = ((confidences - accuracies).abs() * counts).sum() / len(labels)
    metrics = {"ece": ece.item(), "overconfidence": (confidence - right).mean().item()}
    return metrics, {"bin_confidence": confidences.tolist(), "bin_accuracy": accuracies.tolist()}
