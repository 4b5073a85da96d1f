"""The record of a run: its identity, measurements and cost. ``record_json.py`` is its JSON form, ``store.py`` its file."""

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 2
"""Version of the JSON form that is written; records of version 1 have fewer fields and are read too."""
Status = Literal["ok", "failed", "diverged", "collapsed", "interrupted"]
TaskName = Literal["test", "val"]
DeclaredGroup = Literal["methods", "floor and ceiling", "elsewhere"]
"""``floor and ceiling``: the method declares that it uses labels or is not trained. Only ``methods`` are ranked."""
NO_BUDGET = "none"
"""Budget of an encoder that was pretrained elsewhere."""
OWN_NETWORK = "own"
"""Backbone of an encoder pretrained elsewhere whose network is not in the catalogue."""
EXTENDED_FROM = "extended_from"
"""Setting of an extended run: the epochs of the finished run that it continues."""


@dataclass(frozen=True)
class Identity:
    """What identifies a run.

    Attributes:
        dataset: The data set's name; for a folder, its slug with eight hex digits of the hash of its content.
        fingerprint: Hex hash of the data set's pixels and labels.
        task: ``test``, or ``val`` for the development task.
        method: The method's id.
        method_version: ``recipe.version``.
        backbone: The backbone's name; ``own`` for an encoder pretrained elsewhere whose network is not in the catalogue.
        backbone_version: The backbone's version.
        harness_version: ``bench.HARNESS_VERSION``.
        budget: ``smoke``, ``quick``, ``standard``, ``long`` or ``100ep``; ``none`` for an encoder pretrained elsewhere.
        epochs: Epochs over the images of ``train`` and ``unlabelled``.
        batch: Images per step; 0 for an encoder pretrained elsewhere.
        seed: The run's seed.
        settings: What ``--set``, ``--batch-size``, ``--share``, ``--views`` and ``--extend`` changed from the defaults; empty for a
            ranked row. Tuples become lists, as in JSON.
        plugin: Hash of the plugin that defines the method: its file and what it imports from its folder. None for a method of sslbench.
    """

    dataset: str
    fingerprint: str
    task: TaskName
    method: str
    method_version: int
    backbone: str
    backbone_version: int
    harness_version: int
    budget: str
    epochs: int
    batch: int
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    plugin: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", _with_lists(self.settings))


@dataclass(frozen=True)
class Measurement:
    """The result of one protocol.

    Attributes:
        version: The protocol's version.
        metrics: Mean over draws: ``top1``, ``top5`` (more than five classes) and ``mean_class`` in [0, 1], ``nll`` in nats; or a
            label-free metric under its id.
        draws: The same metrics, one entry per draw.
        variants: The same metrics with other constants (``k=1``).
        choices: What the protocol selected, for example a penalty.
        curves: Named curves.
        train_accuracy: Accuracy on the labelled training images, one value per draw, in [0, 1].
        correct: One base64 string per draw: one bit per test image, most significant bit first, 1 if the top-1 prediction was right.
        images: Number of test images, which is the number of bits.
        label_sets: Hex hash of the label sets, or None if the protocol uses none.
        same_as: The protocol that uses the very same label sets and holds the result of both, or None. If it is set, all else is empty.
        seconds: Duration in seconds.
        plugin: Hash of the plugin that defines the protocol, as ``Identity.plugin``; None for a protocol of sslbench.
        largest_class: Share of the largest class among the test images, in [0, 1]: the top-1 of a constant answer. None if no answers
            were compared, and in records of version 1.
    """

    version: int
    metrics: dict[str, float] = field(default_factory=dict)
    draws: list[dict[str, float]] = field(default_factory=list)
    variants: dict[str, dict[str, float]] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    train_accuracy: list[float] = field(default_factory=list)
    correct: list[str] = field(default_factory=list)
    images: int = 0
    label_sets: str | None = None
    same_as: str | None = None
    seconds: float = 0.0
    plugin: str | None = None
    largest_class: float | None = None


@dataclass(frozen=True)
class DataFacts:
    """The data set of a run, in numbers of images.

    Attributes:
        train: Labelled training images, ``val`` included.
        val: Those of ``train`` that are kept for choices.
        test: Test images.
        unlabelled: Images without a label that pretraining uses.
        duplicates: Test images whose decoded pixels are equal to those of a training image.
    """

    train: int
    val: int
    test: int
    unlabelled: int
    duplicates: int


@dataclass(frozen=True)
class Cost:
    """What a run cost; None if it does not apply (no training) or cannot be measured.

    Attributes:
        pretrain_s: Seconds of pretraining, summed over interruptions.
        evaluate_s: Seconds of feature extraction and all protocols.
        images_per_s: Images per second in pretraining (an image counts once, whatever its number of views).
        peak_memory_mb: Peak memory in MB: of the device on a GPU, of the process on the CPU.
        parameters: Number of parameters of the encoder.
        views_per_image: Number of views that the method creates per image.
    """

    pretrain_s: float | None = None
    evaluate_s: float | None = None
    images_per_s: float | None = None
    peak_memory_mb: float | None = None
    parameters: int | None = None
    views_per_image: int | None = None


@dataclass(frozen=True)
class Record:
    """What is stored about one run.

    Attributes:
        identity: What was run.
        status: How the run ended.
        cause: Why the status is not ``ok``, in one line; None if it is.
        protocols: Measurements by protocol id.
        curve: The pretraining loss: ``step``, ``loss`` and each named part, as lists of equal length with at most 200 points.
        cost: Times, speed, memory and size.
        environment: Versions of Python and packages, ``device``, ``precision``, ``threads``, ``commit``, ``finished`` (UTC).
        classes: Number of classes of the data set, which gives chance for top-1 and top-5; None if the run failed before it was known.
        group: Group that the method declares; None in records of version 1.
        recipe: What the training used: optimiser, learning rate, weight decay, warm-up and all other fields of the recipe, and all settings.
        data: Numbers of images of the data set; None in records of version 1.
        notes: What a reader of the row must know, one line each, for example that running statistics were measured again.
        schema_version: Version of the JSON form.
    """

    identity: Identity
    status: Status
    cause: str | None = None
    protocols: dict[str, Measurement] = field(default_factory=dict)
    curve: dict[str, list[float]] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    environment: dict[str, Any] = field(default_factory=dict)
    classes: int | None = None
    group: DeclaredGroup | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    data: DataFacts | None = None
    notes: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(entry) for key, entry in value.items()}
    return [_with_lists(entry) for entry in value] if isinstance(value, list | tuple) else value
