"""Records: what one run was, measured and cost; ``record_json.py`` is their JSON form, ``store.py`` keeps the files."""

from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1
Status = Literal["ok", "failed", "diverged", "collapsed", "interrupted"]
TaskName = Literal["test", "val"]
NO_BUDGET = "none"
"""The budget of an encoder that was pretrained elsewhere: zero epochs here."""
OWN_NETWORK = "own"
"""The backbone of an encoder from elsewhere whose network is none of ours."""
EXTENDED_FROM = "extended_from"
"""The entry of a run's settings that holds the epochs of the finished run that it goes on from."""


@dataclass(frozen=True)
class Identity:
    """What was run.

    Attributes:
        dataset: As the user named it; a folder by its slug and eight hex digits of its content's hash.
        fingerprint: Hex hash of the data set's pixels and labels.
        task: ``test``, or ``val`` for the development task.
        method: The method's id.
        method_version: ``recipe.version``.
        backbone: The backbone's name; ``own`` for a network from elsewhere.
        backbone_version: Its version.
        harness_version: ``bench.HARNESS_VERSION``.
        budget: ``smoke``, ``quick``, ``standard``, ``long`` or ``100ep``; ``none`` for an encoder that was pretrained elsewhere.
        epochs: Epochs over ``train`` and ``unlabelled``.
        batch: Images a step; 0 where it was pretrained elsewhere.
        seed: The run's seed.
        settings: What ``--set``, ``--batch-size``, ``--share``, ``--views`` and ``--extend`` changed from the defaults; empty for a ranked row. Tuples
            become lists, as in JSON.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", _with_lists(self.settings))


@dataclass(frozen=True)
class Measurement:
    """What one protocol measured.

    Attributes:
        version: The protocol's version.
        metrics: Mean over draws: ``top1``, ``top5`` (more than five classes), ``mean_class`` in [0, 1], ``nll`` in nats; or a label-free figure by its id.
        draws: The same metrics, one entry a draw.
        variants: The same metrics under other constants (``k=1``).
        choices: What the protocol chose on the way.
        curves: Named curves.
        train_accuracy: One a draw, in [0, 1].
        correct: One base64 string a draw: one bit a test image, most significant bit first, 1 where the top-1 was right.
        images: Number of test images, hence of bits.
        label_sets: Hex hash of the label sets used, or None.
        same_as: The protocol that got the very same label sets and stands for this one, or None; then all else is empty.
        seconds: What it took.
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


@dataclass(frozen=True)
class Cost:
    """What the run cost; None where it does not apply (no training) or cannot be read.

    Attributes:
        pretrain_s: Seconds of pretraining, over all sittings.
        evaluate_s: Seconds of feature extraction and all protocols.
        images_per_s: Images a second in pretraining (an image counts once, whatever its views).
        peak_memory_mb: Peak memory: of the device on a GPU, of the process on a CPU.
        parameters: Parameters of the encoder.
        views_per_image: Views that the method makes of an image.
    """

    pretrain_s: float | None = None
    evaluate_s: float | None = None
    images_per_s: float | None = None
    peak_memory_mb: float | None = None
    parameters: int | None = None
    views_per_image: int | None = None


@dataclass(frozen=True)
class Record:
    """One run from start to end.

    Attributes:
        identity: What was run.
        status: How it ended.
        cause: Why, where it is not ``ok``: one line.
        protocols: What was measured, by protocol id.
        curve: The pretraining loss: ``step``, ``loss`` and each named part, lists of equal length, at most 200 points.
        cost: What it cost.
        environment: Versions of python and packages, ``device``, ``precision``, ``threads``, ``commit``, ``finished`` (UTC).
        classes: Number of classes of the data set, hence the chance of top-1 and top-5; None where the run failed before it was known.
        schema_version: The version of this form.
    """

    identity: Identity
    status: Status
    cause: str | None = None
    protocols: dict[str, Measurement] = field(default_factory=dict)
    curve: dict[str, list[float]] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    environment: dict[str, Any] = field(default_factory=dict)
    classes: int | None = None
    schema_version: int = SCHEMA_VERSION


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(entry) for key, entry in value.items()}
    return [_with_lists(entry) for entry in value] if isinstance(value, list | tuple) else value
