"""The record of a run: its identity, measurements and cost. ``record_json.py`` is its JSON form, ``store.py`` its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MaxLen
from pydantic import ConfigDict

from bench.records.fields import (
    Amount,
    Classes,
    Count,
    Curve,
    Epochs,
    FiniteJson,
    Hash,
    Json,
    Name,
    Number,
    Parameters,
    Seed,
    Share,
    Text,
    Trials,
    Version,
)

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

WATCHED = {"knn": "kNN on val", "rankme": "RankMe"}
"""Figures of ``--watch`` and their names for people; ``knn`` is a share."""

_CONFIG = ConfigDict(strict=True, extra="forbid")
"""How the classes below are read from a file: no conversion between types, no unknown entry."""


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

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    dataset: Name
    fingerprint: Hash
    task: TaskName
    method: Name
    method_version: Version
    backbone: Name
    backbone_version: Version
    harness_version: Version
    budget: Name
    epochs: Epochs
    batch: Count
    seed: Seed
    settings: FiniteJson = field(default_factory=dict)
    plugin: Hash | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", _with_lists(self.settings))


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

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    train: Count
    val: Count
    test: Count
    unlabelled: Count
    duplicates: Count


@dataclass(frozen=True)
class Transfer:
    """Another data set than that of pretraining, on which an encoder was measured.

    Attributes:
        dataset: Its name, as ``Identity.dataset``.
        fingerprint: Hex hash of its pixels and labels.
        classes: Number of its classes.
        data: Its numbers of images.
        seen: Test images whose pixels are equal to those of an image that pretraining saw.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    dataset: Name
    fingerprint: Hash
    classes: Classes
    data: DataFacts
    seen: Count


@dataclass(frozen=True)
class Measurement:
    """The result of one protocol.

    Attributes:
        version: The protocol's version.
        metrics: Mean over draws: ``top1``, ``top5`` (more than five classes) and ``mean_class`` in [0, 1], ``nll`` in nats, of clusters
            also ``nmi`` and ``ari``; or ``ece`` and ``overconfidence``; or a label-free metric under its id.
        draws: The same metrics, one entry per draw or fixed condition (a corruption of the test images).
        variants: The same metrics with other constants (``k=1``) or in one fixed condition (``noise 0.1``).
        choices: What the protocol selected, for example a penalty.
        curves: Named curves.
        train_accuracy: Accuracy on the labelled training images, one value per draw, in [0, 1].
        correct: One base64 string per draw or condition: one bit per test image, most significant bit first, 1 if the top-1 prediction was right.
        images: Number of test images, which is the number of bits.
        label_sets: Hex hash of the label sets, or None if the protocol uses none.
        same_as: The protocol that uses the very same label sets and holds the result of both, or None. If it is set, all else is empty.
        seconds: Duration in seconds.
        plugin: Hash of the plugin that defines the protocol, as ``Identity.plugin``; None for a protocol of sslbench.
        largest_class: Share of the largest class among the test images, in [0, 1]: the top-1 of a constant answer. None if no answers
            were compared, and in records of version 1.
        transfer: The data set that was measured on, if it is not the one of the run; else None.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    version: Version
    metrics: dict[Name, Number] = field(default_factory=dict)
    draws: list[dict[Name, Number]] = field(default_factory=list)
    variants: dict[Name, dict[Name, Number]] = field(default_factory=dict)
    choices: Json = field(default_factory=dict)
    curves: dict[Name, Curve] = field(default_factory=dict)
    train_accuracy: list[Share] = field(default_factory=list)
    correct: list[str] = field(default_factory=list)
    images: Count = 0
    label_sets: Name | None = None
    same_as: Name | None = None
    seconds: Amount = 0.0
    plugin: Hash | None = None
    largest_class: Share | None = None
    transfer: Transfer | None = None


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
        watch_s: Seconds of ``--watch``, which are part of neither of the two above, summed over interruptions; None without it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    pretrain_s: Amount | None = None
    evaluate_s: Amount | None = None
    images_per_s: Amount | None = None
    peak_memory_mb: Amount | None = None
    parameters: Parameters | None = None
    views_per_image: Count | None = None
    watch_s: Amount | None = None


@dataclass(frozen=True)
class Record:
    """What is stored about one run.

    Attributes:
        identity: What was run.
        status: How the run ended.
        cause: Why the status is not ``ok``, in one line; None if it is.
        protocols: Measurements by protocol id.
        curve: The pretraining loss: ``step``, ``loss`` and each named part, as lists of equal length with at most 200 points.
        watched: ``epoch``, ``step``, ``knn`` (top-1 on ``val``, in [0, 1]) and ``rankme`` during pretraining, as lists of equal length;
            empty without ``--watch``. No result depends on it.
        cost: Times, speed, memory and size.
        environment: Versions of Python and packages, ``device``, ``devices`` (how many trained the run together; one if
            it is missing), ``precision``, ``threads``, ``commit``, ``finished`` (UTC).
        classes: Number of classes of the data set, which gives chance for top-1 and top-5; None if the run failed before it was known.
        group: Group that the method declares; None in records of version 1.
        recipe: What the training used: all fields of the recipe, with ``rate`` for 256 images per step; ``batch``; ``peak_rate``, the rate
            at that batch; and ``settings``, all of the method's settings. Only ``settings`` for a method without training.
        data: Numbers of images of the data set; None in records of version 1.
        notes: What a reader of the row must know, one line each, for example that running statistics were measured again.
        tuned: Numbers of trials of the searches (``sslbench tune``) that ended with these settings; empty for any other run. It is no part
            of the identity: the shipped recipe may itself be the best of a search.
        schema_version: Version of the JSON form.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CONFIG
    identity: Identity
    status: Status
    cause: Text | None = None
    protocols: dict[Name, Measurement] = field(default_factory=dict)
    curve: dict[Name, Curve] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    environment: Json = field(default_factory=dict)
    classes: Classes | None = None
    group: DeclaredGroup | None = None
    recipe: Json = field(default_factory=dict)
    data: DataFacts | None = None
    notes: Annotated[list[Text], MaxLen(1000)] = field(default_factory=list)
    watched: dict[Name, Curve] = field(default_factory=dict)
    tuned: Annotated[list[Trials], MaxLen(20)] = field(default_factory=list)
    schema_version: Version = SCHEMA_VERSION


def watched_text(figures: Mapping[str, float]) -> list[str]:
    """Return watched figures for people, one text for each."""
    return [
        f"{WATCHED[name]} {100 * value:.2f} %" if name == "knn" else f"{WATCHED.get(name, name)} {value:.4g}"
        for name, value in figures.items()
    ]


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(entry) for key, entry in value.items()}
    return [_with_lists(entry) for entry in value] if isinstance(value, list | tuple) else value
