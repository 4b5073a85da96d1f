"""The contract of a protocol: it receives a task without test labels and returns predictions."""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from typing import Protocol as Interface

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from protocols.selection import Selection

Images = UInt8[Tensor, "images channels size size"]
StoredImages: TypeAlias = Images | Selection
"""The images of a part: a tensor, or a ``Selection`` if they are some of the images of a set that is too large to be copied."""
Augmentation = Literal["shift", "crop", "views"]


def in_memory(parts: Iterator[Tensor], images: int) -> Tensor:
    """Return batches as one tensor on their device."""
    return torch.cat(list(parts))


class EncoderLike(Interface):
    """The part of an encoder that protocols use (``methods.base.Encoder`` provides it); it is an ``nn.Module``.

    Attributes:
        dim: Number of features.
        map_dim: Channels of the feature map, if there is one.
    """

    dim: int
    map_dim: int

    def features(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim"]:
        """Return the features of prepared images."""

    def feature_map(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch map_dim h w"] | None:
        """Return the last feature map before pooling, or None."""


@dataclass(frozen=True)
class Task:
    """The input of a protocol. It holds no test labels, so nothing can be chosen on them.

    Attributes:
        train_images: uint8 images of ``train``. Images of every part are used a batch at a time: they may be more than the memory holds.
        train_labels: int64 labels of ``train``, from 0 to ``classes`` − 1.
        train_features: float32 features of ``train`` by the frozen encoder; many are mapped from a file (``parts.rows.rows_of`` reads them).
        test_images: uint8 images to predict.
        test_features: float32 features of the test images.
        unlabelled_images: The images without labels, or None.
        classes: Number of classes.
        fit: Indices of ``train`` without ``val``.
        val: Indices of ``val`` in ``train``: the only images on which a protocol may choose anything.
        label_set: (labels, draw) -> indices into ``train``. ``labels`` is a number per class (``"1"``, ``"64"``) or a
            percentage (``"1pct"``); within one draw the smaller sets are part of the larger ones.
        encoder: Returns a fresh copy of the pretrained encoder (an ``nn.Module`` in eval mode on ``device``); None if it has no network.
        scratch_encoder: Returns the same network with random weights drawn from the generator, its batch-norm statistics untouched;
            None if the encoder has no network.
        prepare: uint8 images on any device -> float32 images on ``device``, resized and normalised for the encoder.
        augment: (uint8 images, kind, generator) -> list of uint8 views on the same device. ``shift``: one view, shifted by up to an
            eighth, and flipped if the data set allows it. ``crop``: one view, a random resized crop with the same flip. ``views``:
            two views of the augmentation that is the same for every method.
        features_of: uint8 images on any device -> their float32 features by the frozen encoder, on ``device``; a batch at a time.
        generator: purpose -> a fresh generator on ``device``; the same purpose gives the same numbers.
        device: Where networks run.
        room: Bytes that images may take on ``device`` (``protocols.selection.images_on_device``).
        store: (batches of float32 numbers, images in all of them) -> all of them as one tensor, images first: on their device, or mapped
            from a file if they are too many for memory.
        watch: Whether a protocol that trains by steps also predicts during training; True only on the development task.
        once: (key, function) -> what the function returns; it is called only for the first protocol of a run that asks for this key. The
            protocols of a run share a fit this way; the function must return the same for all of them.
        check_stop: Raises if the user asked to stop. A protocol calls it at least once per second: after every step, batch or block. The
            functions of a task call it too.
    """

    train_images: StoredImages
    train_labels: Int[Tensor, " train"]
    train_features: Float[Tensor, "train dim"]
    test_images: StoredImages
    test_features: Float[Tensor, "test dim"]
    unlabelled_images: StoredImages | None
    classes: int
    fit: Int[Tensor, " fit"]
    val: Int[Tensor, " val"]
    label_set: Callable[[str, int], Int[Tensor, " labelled"]]
    encoder: Callable[[], nn.Module] | None
    scratch_encoder: Callable[[torch.Generator], nn.Module] | None
    prepare: Callable[[Images], Float[Tensor, "batch channels size size"]]
    augment: Callable[[Images, Augmentation, torch.Generator], list[Images]]
    features_of: Callable[[Images], Float[Tensor, "batch dim"]]
    generator: Callable[[str], torch.Generator]
    device: torch.device
    room: float = math.inf
    store: Callable[[Iterator[Tensor], int], Tensor] = in_memory
    watch: bool = False
    once: Callable[[Hashable, Callable[[], Any]], Any] = lambda key, function: function()
    check_stop: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Confidences:
    """How sure a classifier is of each test image; the harness compares this with how often it is right.

    Attributes:
        predicted: int64 predicted class.
        confidence: Probability of that class, in [0, 1].
        bins: int64 bin of each image, from 0; the error of calibration is measured per bin.
    """

    predicted: Int[Tensor, " test"]
    confidence: Float[Tensor, " test"]
    bins: Int[Tensor, " test"]


@dataclass(frozen=True)
class Predictions:
    """The output of a protocol: ``scores``, ``clusters``, ``confidences`` or (label-free) ``metrics``.

    Attributes:
        scores: One block per draw: float32 log-probabilities, test × classes.
        conditions: Names of the blocks of ``scores`` if they are fixed conditions of the test images (a corruption and its strength)
            instead of draws; each is also recorded as a variant.
        clusters: int64 cluster of each test image, from 0, found without labels. The harness assigns the clusters to the classes.
        confidences: Of which the harness measures the error of calibration.
        variants: Log-probabilities under other constants, recorded next to the main ones (``k=1`` for ``knn``).
        choices: What the protocol chose or used (the penalty, the number of steps), as plain JSON values.
        curves: Named curves (training loss, accuracy on the label set, …), one value per recorded step.
        train_accuracy: Accuracy on the labelled images per draw, in [0, 1]; empty if it has no meaning.
        metrics: Measures that need no labels (``rankme``).
        trail: (steps done, predicted class of each test image) during the training of the first draw, if the task is watched;
            nothing may depend on it.
    """

    scores: list[Float[Tensor, "test classes"]] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    clusters: Int[Tensor, " test"] | None = None
    confidences: Confidences | None = None
    variants: dict[str, Float[Tensor, "test classes"]] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    train_accuracy: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    trail: list[tuple[int, Int[Tensor, " test"]]] = field(default_factory=list)


class NotFinite(ValueError):
    """Features, a loss or predictions became NaN or infinite; the run ends as diverged."""


class EvaluationProtocol:
    """Base class of all protocols.

    A subclass lives in the file that its catalogue entry names and is built from the entry's constants; the types of its fields declare
    their ranges. It raises a ValueError with a one-line message if it cannot measure a task, and ``NotFinite`` if the reason is a number
    that is not finite.
    """

    def predict(self, task: Task) -> Predictions:
        """Return predictions for every test image; deterministic given the task."""
        raise NotImplementedError
