"""Estimate of how long runs take: from earlier records of the same method, else by a short rule."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from bench.backbones import catalogue as backbones
from bench.device import SMALL_IMAGE
from bench.planning.plan import PlannedRun
from bench.planning.settings import settings_of
from bench.records.record import Identity, Record
from bench.records.store import Store, read_record
from bench.registry.methods import method_of_run
from methods.traits import Traits
from protocols import catalogue as protocols
from protocols.catalogue import CORRUPTION_STRENGTHS
from protocols.parts.labels import parse_labels
from protocols.parts.training import Training

RECORDS_READ = 4
"""Largest number of records that are read for one method on one backbone."""
VIEW_SECONDS = 2.3e-4
"""Seconds to train ResNet-9 of width 16 on one view of a very small image (two CPU cores; measured on digits)."""
PIXEL_SECONDS = 9.4e-8
"""Further seconds per pixel of the view (measured on FashionMNIST with 28 pixels and Imagenette with 96)."""
BACKBONE_FACTORS = {
    "mlp": 0.1,
    "resnet9_slim": 1.0,
    "alexnet": 1.0,
    "vit_nano": 2.0,
    "resnet9": 8.0,
    "resnet18": 12.0,
    "vit_tiny": 12.0,
    "resnet50": 40.0,
    "vit_small": 40.0,
}
"""Time of a view on a backbone, relative to ResNet-9 of width 16."""
OTHER_FACTOR = 12.0
"""The same for a network that is not in the catalogue."""
GPU_FACTOR = 0.05
"""Time on a GPU relative to two CPU cores."""
FORWARD_SHARE = 1 / 3
"""Time of a forward pass relative to a training step."""
LOGISTIC_SECONDS = 2e-6
"""Seconds of ``linear`` per image and feature."""
VIEWS = 2
"""Views per image if the method does not say."""


@dataclass(frozen=True)
class Workload:
    """What the duration of a run depends on, besides the run itself.

    Attributes:
        traits: Traits of the data set.
        test: Number of test images.
        cores: CPU cores of a run; 0 for a GPU.
        others: The same for each other data set that is measured on, by its name in records; ``cores`` has no meaning there.
    """

    traits: Traits
    test: int
    cores: int = 2
    others: Mapping[str, "Workload"] = field(default_factory=dict)

    def on(self, dataset: str | None) -> "Workload":
        """Return what a protocol on this data set depends on; None for that of pretraining."""
        return self if dataset is None else replace(self.others[dataset], cores=self.cores)


@dataclass(frozen=True)
class Estimate:
    """Estimated seconds of runs.

    Attributes:
        seconds: Seconds of each run, in the order of the runs.
        measured: Number of runs whose estimate comes from earlier records of the same method.
    """

    seconds: Sequence[float]
    measured: int

    def total(self, jobs: int) -> float:
        """Return the seconds of all runs, ``jobs`` at a time."""
        return max(sum(self.seconds) / max(1, jobs), max(self.seconds, default=0.0))


def estimate(runs: Sequence[PlannedRun], workload: Workload, store: Store) -> Estimate:
    """Return the estimated seconds of runs.

    Args:
        runs: The runs that are still to do.
        workload: Numbers of images and their size.
        store: The results folder, whose records of the same method, data set and backbone are used.
    """
    known: dict[tuple[str, ...], tuple[list[Record], int]] = {}
    seconds, measured = [], 0
    for run in runs:
        folder = store.record_path(run.identity).parent
        key = (str(folder.parents[1]), folder.name)
        if key not in known:
            records = _records_like(run.identity, store)
            known[key] = records, 0 if records else _views(run, workload.traits)
        trained = run.reason != "forced" and store.encoder_path(run.identity).exists()
        records, views = known[key]
        seconds.append(seconds_of(run, workload, records, views, trained=trained))
        measured += bool(records)
    return Estimate(seconds, measured)


def seconds_of(
    run: PlannedRun, workload: Workload, records: Iterable[Record], views: int, *, trained: bool = False
) -> float:
    """Return the estimated seconds of one run.

    Args:
        run: The run.
        workload: Numbers of images and their size.
        records: Records of the same method on the same data set and backbone.
        views: Views per image, if there is no record; 0 for a method that is not trained.
        trained: Whether its encoder is already stored.
    """
    records = list(records)
    identity = run.identity
    per_epoch = [r.cost.pretrain_s / r.identity.epochs for r in records if r.cost.pretrain_s and r.identity.epochs]
    epochs = identity.epochs
    if run.extends is not None:
        epochs -= run.extends.epochs
    pretraining = 0.0
    if not trained and identity.epochs and (views or per_epoch):
        share = float(identity.settings.get("share", 1.0))
        by_rule = share * workload.traits.images * views * _view_seconds(identity, workload)
        pretraining = epochs * (_mean(per_epoch) if per_epoch else by_rule)
    overheads = [r.cost.evaluate_s - sum(m.seconds for m in r.protocols.values()) for r in records if r.cost.evaluate_s]
    measuring = max(0.0, _mean(overheads)) if overheads else _forward_seconds(identity, workload)
    measured_on = {name: protocols.resolve(name).on for name in run.protocols}
    others = dict.fromkeys(on for on in measured_on.values() if on is not None)
    measuring += sum(_forward_seconds(identity, workload.on(other)) for other in others)
    for name, on in measured_on.items():
        took = [r.protocols[name].seconds for r in records if name in r.protocols]
        measuring += _mean(took) if took else protocol_seconds(name, identity, workload.on(on))
    return pretraining + measuring


def _forward_seconds(identity: Identity, workload: Workload) -> float:
    """Return the seconds of computing the features of a data set."""
    return FORWARD_SHARE * _view_seconds(identity, workload) * (workload.traits.train + workload.test)


def protocol_seconds(name: str, identity: Identity, workload: Workload) -> float:
    """Return the estimated seconds of a protocol by rule: steps that train a network, or a regression on all features."""
    entry = protocols.resolve(name)
    training = entry.constants.get("training")
    if entry.module in ("protocols.linear", "protocols.linear_sgd"):
        known = backbones.CATALOGUE.get(identity.backbone)
        features = workload.traits.size**2 if identity.method == "pixels" else known.dim if known is not None else 512
        fit = LOGISTIC_SECONDS * workload.traits.train * features * _speed(workload)
        corrupted = sum(len(strengths) for kind, strengths in entry.constants.items() if kind in CORRUPTION_STRENGTHS)
        return fit + corrupted * FORWARD_SHARE * workload.test * _view_seconds(identity, workload)
    if not isinstance(training, Training) or entry.labels is None or entry.draws is None:
        return 0.5
    total = entry.constants.get("total_labels")
    images = int(total) if total is not None else _labelled(entry.labels, workload)
    images += int(entry.constants.get("unlabelled") or 0)
    seen = training.steps_over(images) * training.batch_of(images)
    frozen = FORWARD_SHARE if training.trunk_rate == 0 else 1.0
    views = seen * frozen + FORWARD_SHARE * workload.test
    return entry.draws * views * _view_seconds(identity, workload)


def _labelled(labels: str, workload: Workload) -> int:
    parsed = parse_labels(labels)
    number = (
        parsed.amount * workload.traits.train / 100
        if parsed.unit == "percent"
        else parsed.amount * workload.traits.classes
    )
    return max(1, int(number))


def _view_seconds(identity: Identity, workload: Workload) -> float:
    """Return the seconds of a training step per view."""
    factor = BACKBONE_FACTORS.get(identity.backbone, OTHER_FACTOR)
    if identity.method == "pixels":
        factor = 0.0
    return factor * _speed(workload) * (VIEW_SECONDS + PIXEL_SECONDS * workload.traits.size**2)


def _speed(workload: Workload) -> float:
    """Return the time of a computation relative to two cores; small images use one thread on any machine."""
    if not workload.cores:
        return GPU_FACTOR
    return 1.0 if workload.traits.size <= SMALL_IMAGE else 2 / workload.cores


def _records_like(identity: Identity, store: Store) -> list[Record]:
    """Return records of the same method, settings, data set and backbone; those of the run's own budget if there are any."""
    own = store.record_path(identity)
    paths = [
        *sorted(own.parent.glob("seed-*.json")),
        *sorted(own.parents[2].glob(f"*/{_literal(own.parent.name)}/seed-*.json")),
    ]
    found = [read_record(path) for path in list(dict.fromkeys(paths))[:RECORDS_READ]]
    records = [r for r in found if isinstance(r, Record) and r.status in ("ok", "collapsed")]
    same_budget = [r for r in records if r.identity.budget == identity.budget]
    return same_budget or records


def _views(run: PlannedRun, traits: Traits) -> int:
    """Return the number of views that the method creates per image; 0 if it is not trained."""
    method = method_of_run(run.identity, run.origin)
    if not method.needs.training:
        return 0
    try:
        with warnings.catch_warnings(action="ignore"):
            pipeline = method.views(settings_of(method, run.identity.settings), traits)
            return len(pipeline(Image.new("L" if traits.channels == 1 else "RGB", (traits.size, traits.size))))
    except Exception:  # a plugin's mistake: the run itself reports it
        return VIEWS


def _literal(name: str) -> str:
    """Return a name as a pattern of ``Path.glob`` that matches only this name."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
