"""Expand a request into runs: load its data set, methods and protocols, and form the identity of each run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench import HARNESS_VERSION
from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.data.describe import description
from bench.errors import SslbenchError
from bench.foreign_code import blamed_on
from bench.planning.backbone_choice import choose_backbones
from bench.planning.batch_size import batch_size, default_batch_size
from bench.planning.estimate import Workload
from bench.planning.measure_on import LoadedSet, load_others
from bench.planning.placeholder import must_be_downloaded, notice, placeholder
from bench.planning.plan import Wanted
from bench.planning.request import Request, protocol_of
from bench.planning.settings import check_settings, parse_settings, settings_of, typed_settings
from bench.pretrained.names import is_pretrained_name
from bench.records.record import EXTENDED_FROM, NO_BUDGET, OWN_NETWORK, Identity
from bench.registry.methods import content_of, load_method, method_names, origin_of
from bench.registry.protocols import contents_of
from bench.training.options import RunOptions
from protocols import catalogue as protocols

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.pretrained.method import Origin
    from methods.base import Method

MOST_RUNS = 100_000
"""Largest number of runs of one command."""
ENOUGH_TO_CHOOSE = 100
"""Number of images below which a development task is too small to choose settings on."""


@dataclass(frozen=True)
class Resolved:
    """The runs of a request.

    Attributes:
        wanted: The runs, in order.
        image_size: Side of the images in pixels.
        dataset: The data set, in lines for the user.
        workload: What the duration of a run depends on; ``cores`` has its default.
        skipped: Method name to the reason why it was left out of ``--all``.
        notes: Lines to print before the runs start.
        complete: Whether the images are on this machine; if not, fingerprints are unknown.
    """

    wanted: list[Wanted]
    image_size: int
    dataset: tuple[str, ...]
    workload: Workload
    skipped: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    complete: bool = True


def resolve(request: Request, options: RunOptions, *, download: bool = True) -> Resolved:
    """Load the data set and the methods, and return the requested runs; call ``check_names`` before.

    Args:
        request: The request.
        options: Options of the runs.
        download: Whether a data set whose files are missing is downloaded; if not, the runs are planned by the catalogue's numbers.

    Raises:
        SslbenchError: A setting, batch size, label set or weights file cannot be used.
    """
    complete = download or not must_be_downloaded(options.dataset)
    dataset = options.dataset.load() if complete else placeholder(options.dataset)
    entries = [protocol_of(name) for name in request.protocols or protocols.DEFAULT]
    _check_protocols(entries, dataset)
    others = load_others(request.measure_on, options.dataset, dataset, own_is_complete=complete, download=download)
    for other in others:
        _check_protocols(other.entries, other.dataset)
    entries += [entry for other in others for entry in other.entries]
    named = list(request.methods) or method_names()
    if len(named) * len(request.seeds) > MOST_RUNS:
        raise SslbenchError(
            f"{len(named)} methods with {len(request.seeds):,} seeds are more than {MOST_RUNS:,} runs; give fewer seeds or methods"
        )
    skipped: dict[str, str] = {}
    if request.extend is not None:
        named, skipped = _only_trained(request, named)
    origins = {name: origin for name in named if (origin := origin_of(name, request.backbone)) is not None}
    own = [name for name in named if name not in origins]
    pairs, unfit = choose_backbones(request, options.dataset.name, own)
    wanted = [
        run for name, backbone in pairs for run in _runs_of_method(name, backbone, request, options, dataset, entries)
    ]
    notes = _notes(dataset)
    for name, origin in origins.items():
        runs, about_weights = _runs_of_pretrained(name, origin, request, options, dataset, entries)
        wanted += runs
        notes += about_weights
    record_names = {run.identity.method for run in wanted if run.origin is not None}
    if len(record_names) < len(origins):
        raise SslbenchError("a pretrained encoder is given twice; give each encoder once")
    lines = description(dataset) if complete else [notice(options.dataset)]
    lines += [line for other in others for line in other.lines]
    wanted = [replace(run, others=tuple(other.planned for other in others)) for run in wanted]
    workload = _workload(dataset, others)
    return Resolved(wanted, dataset.traits.size, tuple(lines), workload, skipped | unfit, tuple(notes), complete)


def _workload(dataset: "Dataset", others: Sequence[LoadedSet]) -> Workload:
    """Return what the duration of a run depends on; images of other data sets are resized to those of pretraining."""
    sizes = {
        other.planned.name: Workload(
            replace(other.dataset.traits, size=dataset.traits.size), len(other.dataset.test_images)
        )
        for other in others
    }
    return Workload(dataset.traits, len(dataset.test_images), others=sizes)


def _notes(dataset: "Dataset") -> list[str]:
    """Return a line if the development task is too small to choose anything on it."""
    images = len(dataset.test_images)
    if not dataset.test_labels.development or images >= ENOUGH_TO_CHOOSE:
        return []
    return [
        f"the development task has {images} images to measure on, fewer than {ENOUGH_TO_CHOOSE}: one image is {100 / images:.2g} points, "
        "too few to choose settings on"
    ]


def _runs_of_method(
    name: str,
    backbone: str,
    request: Request,
    options: RunOptions,
    dataset: "Dataset",
    entries: Sequence["protocols.Entry"],
) -> list[Wanted]:
    """Return the runs of a method on a backbone of the catalogue, one per seed."""
    method = load_method(name)
    usable = {e.id: e.version for e in entries if not (e.needs_network and method.needs.backbone == "none")}
    if not usable:
        raise SslbenchError(
            f"method {name} has no network to train, which is needed by {', '.join(e.id for e in entries)}"
        )
    batch = batch_size(request, method, dataset)
    _check_devices(name, method, batch, options.devices)
    budget = request.extend or request.budget
    common = _versions(dataset, options, method, backbone) | {
        "method": name,
        "plugin": content_of(name),
        "budget": budget,
        "epochs": datasets.epochs(options.dataset.name, budget),
        "batch": batch,
        "settings": _changed_settings(name, method, backbone, batch, request, options, dataset),
    }
    return [Wanted(Identity(**common, seed=seed), usable, plugins=contents_of(usable)) for seed in request.seeds]


def _check_devices(name: str, method: type["Method"], batch: int, devices: int) -> None:
    """Raise SslbenchError if the method cannot be trained on several devices."""
    if devices == 1 or not method.needs.training:
        return
    if method.needs.one_device is not None:
        raise SslbenchError(
            f"--devices {devices}: method {name} is trained on one device only ({method.needs.one_device}); remove --devices"
        )
    if batch < devices:
        raise SslbenchError(f"--devices {devices}: a batch of {batch} images cannot be divided; give at most {batch}")


def _changed_settings(
    name: str,
    method: type["Method"],
    backbone: str,
    batch: int,
    request: Request,
    options: RunOptions,
    dataset: "Dataset",
) -> dict[str, Any]:
    """Return the settings that differ from the defaults: those of ``--set``, and options that are part of the identity."""
    kind = backbones.find(backbone).kind
    changed: dict[str, Any] = dict(typed_settings(name, method, kind, parse_settings(request.settings)))
    check_settings(name, method, kind, changed)
    if request.batch_size is not None and batch != default_batch_size(method, dataset):
        changed["batch_size"] = batch
    if request.share not in (None, 1) and method.needs.training:
        changed["share"] = float(request.share)
    if _views_per_sample(name, method, changed, dataset, request):
        changed["views"] = "per-sample"
    if request.extend is not None:
        changed[EXTENDED_FROM] = datasets.epochs(options.dataset.name, request.budget)
    return changed


def _runs_of_pretrained(
    name: str,
    origin: "Origin",
    request: Request,
    options: RunOptions,
    dataset: "Dataset",
    entries: Sequence["protocols.Entry"],
) -> tuple[list[Wanted], tuple[str, ...]]:
    """Return the runs of an encoder from elsewhere, and lines to print; the encoder is built once to check that it can be."""
    from bench.pretrained.method import method_of, record_name

    method = method_of(origin)
    changed = typed_settings(name, method, "none", parse_settings(request.settings))
    check_settings(name, method, "none", changed)
    backbone = origin.backbone()
    if backbone is None and request.backbone is not None and len(request.methods) == 1:
        raise SslbenchError(f"{name} has its own network; remove --backbone")
    built = origin.build(dataset.traits, settings_of(method, changed))
    common = _versions(dataset, options, method, backbone) | {
        "method": record_name(origin),
        "budget": NO_BUDGET,
        "epochs": 0,
        "batch": 0,
        "settings": changed,
    }
    versions = {entry.id: entry.version for entry in entries}
    plugins = contents_of(versions)
    return [Wanted(Identity(**common, seed=seed), versions, name, plugins) for seed in request.seeds], built.lines


def _versions(dataset: "Dataset", options: RunOptions, method: type["Method"], backbone: str | None) -> dict[str, Any]:
    """Return the identity's fields for the data set, the backbone and all versions."""
    return {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "task": options.dataset.task,
        "method_version": method.recipe.version,
        "backbone": backbone or OWN_NETWORK,
        "backbone_version": backbones.find(backbone).version if backbone else 1,
        "harness_version": HARNESS_VERSION,
    }


def _views_per_sample(
    name: str, method: type["Method"], changed: Mapping[str, Any], dataset: "Dataset", request: Request
) -> bool:
    """Return whether ``--views per-sample`` changes how this method's views are drawn."""
    if request.views == "auto" or not method.needs.training:
        return False
    from bench.views import why_not_batched

    traits = dataset.traits
    with blamed_on(f"method {name}: views"):
        pipeline = method.views(settings_of(method, changed), traits)
    reason = why_not_batched(pipeline, size=traits.size, channels=traits.channels)
    if reason is not None and request.views == "batched":
        raise SslbenchError(
            f"--views batched: the views of {name} can only be drawn image by image ({reason}); remove this option"
        )
    return reason is None and request.views == "per-sample"


def _only_trained(request: Request, named: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the methods that can be extended, and for each method left out of ``--all`` the reason."""
    trained = [name for name in named if not is_pretrained_name(name) and load_method(name).needs.training]
    left_out = {name: "is not trained, so it cannot be extended" for name in named if name not in trained}
    if left_out and request.methods:
        raise SslbenchError(f"--extend: method {next(iter(left_out))} is not trained here; remove it")
    return trained, left_out


def _check_protocols(entries: Sequence["protocols.Entry"], dataset: "Dataset") -> None:
    """Raise SslbenchError if a protocol's constants do not fit together, or its label sets cannot be drawn."""
    from bench.data.label_sets import label_set

    for entry in entries:
        try:
            protocols.load(entry)
        except (ValueError, TypeError) as error:
            raise SslbenchError(f"protocol {entry.id}: {error}") from error
        sets = protocols.label_sets_of(entry, dataset.traits.classes)
        if sets is None:
            continue
        total = entry.constants.get("total_labels")
        if total is not None and total % dataset.traits.classes:
            raise SslbenchError(
                f"protocol {entry.id}: {total} labels cannot be divided equally among {dataset.traits.classes} classes"
            )
        try:
            label_set(dataset.train_labels, sets[0], 0, dataset.class_names)
        except SslbenchError as error:
            raise SslbenchError(f"protocol {entry.id}: {error}") from error
