"""The contract of a protocol: a task without test labels in, predictions out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from typing import Protocol as Interface

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

Images = UInt8[Tensor, "images channels size size"]
Augmentation = Literal["shift", "crop", "views"]


class EncoderLike(Interface):
    """What a protocol may ask of an encoder (``methods.base.Encoder`` fits); it is an ``nn.Module``.

    Attributes:
        dim: Number of features.
        map_dim: Channels of the feature map, where there is one.
    """

    dim: int
    map_dim: int

    def features(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim"]:
        """Return the features of prepared images."""

    def feature_map(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch map_dim h w"] | None:
        """Return the last map before pooling, or None."""


@dataclass(frozen=True)
class Task:
    """All that a protocol sees. There are no test labels in it: nothing can be chosen on them.

    Attributes:
        train_images: uint8 images of ``train``.
        train_labels: int64, one of ``classes`` values each.
        train_features: float32 features of ``train`` by the frozen encoder.
        test_images: uint8 images to predict.
        test_features: float32 features of them.
        unlabelled_images: The images without labels, or None.
        classes: Number of classes.
        fit: Indices of ``train`` without ``val``.
        val: Indices of ``val`` in ``train``: the only images on which a protocol may choose.
        label_set: (labels, draw) -> indices into ``train``; labels is ``"1"``, ``"64"`` (a class) or ``"1pct"``; nested in a draw.
        encoder: A fresh copy of the pretrained encoder (an ``nn.Module`` in eval mode, on ``device``), or None where there is no network.
        scratch_encoder: The same network from a random start drawn from the generator; batch-norm statistics untouched. None likewise.
        prepare: uint8 images on any device -> float32 images on ``device``, resized and normalised for the encoder.
        augment: (uint8 images, kind, generator) -> list of uint8 views on the same device. ``shift``: by up to an eighth, flipped where the
            class allows it (one view). ``crop``: random resized crop and that flip (one view). ``views``: two views of the
            method-independent augmentation.
        generator: purpose -> a fresh generator on ``device``; the same purpose gives the same numbers.
        device: Where networks run.
        watch: Whether a protocol that trains by steps also predicts along the way; only ever on the development task.
    """

    train_images: Images
    train_labels: Int[Tensor, " train"]
    train_features: Float[Tensor, "train dim"]
    test_images: Images
    test_features: Float[Tensor, "test dim"]
    unlabelled_images: Images | None
    classes: int
    fit: Int[Tensor, " fit"]
    val: Int[Tensor, " val"]
    label_set: Callable[[str, int], Int[Tensor, " labelled"]]
    encoder: Callable[[], nn.Module] | None
    scratch_encoder: Callable[[torch.Generator], nn.Module] | None
    prepare: Callable[[Images], Float[Tensor, "batch channels size size"]]
    augment: Callable[[Images, Augmentation, torch.Generator], list[Images]]
    generator: Callable[[str], torch.Generator]
    device: torch.device
    watch: bool = False


@dataclass(frozen=True)
class Predictions:
    """What a protocol answers.

    Attributes:
        scores: One block a draw: float32 log-probabilities, test × classes. Empty for a label-free figure.
        variants: The same under other constants, recorded beside the main ones (``k=1`` for ``knn``).
        choices: What the protocol chose on the way (the penalty), plain JSON values.
        curves: Named curves (training loss, accuracy on the label set, …), one value a recorded step.
        train_accuracy: One a draw, in [0, 1], on the labelled images; empty where it has no meaning.
        metrics: Figures that need no labels at all (``rankme``).
        trail: (steps done, predicted class of each test image) along the training of the first draw, where the task is watched;
            nothing may depend on it.
    """

    scores: list[Float[Tensor, "test classes"]] = field(default_factory=list)
    variants: dict[str, Float[Tensor, "test classes"]] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    train_accuracy: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    trail: list[tuple[int, Int[Tensor, " test"]]] = field(default_factory=list)


class EvaluationProtocol:
    """One protocol with its constants fixed; built by ``protocols.catalogue``'s entry for it.

    A subclass stands in the file that the catalogue names and is built from the entry's constants. It raises ValueError, in
    one line, where a task cannot be measured under it.
    """

    def predict(self, task: Task) -> Predictions:
        """Return predictions for every test image; deterministic given the task."""
        raise NotImplementedError
