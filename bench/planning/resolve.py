"""A request made whole: names to methods, data set, protocols, identities."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench import HARNESS_VERSION
from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.errors import SslbenchError
from bench.planning.backbone_choice import choose_backbones
from bench.planning.plan import Wanted
from bench.planning.request import Request, check_names, protocol_of
from bench.planning.settings import parse_settings, settings_of, typed_settings
from bench.pretrained.names import is_elsewhere
from bench.records.record import EXTENDED_FROM, NO_BUDGET, OWN_NETWORK, Identity
from bench.registry.methods import load_method, method_names, origin_of, plan_elsewhere
from protocols import catalogue as protocols

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.pretrained.method import Origin
    from methods.base import Method


@dataclass(frozen=True)
class Resolved:
    """A request made whole.

    Attributes:
        wanted: The runs that are asked for.
        skipped: Method name to the reason why the planner left it out of ``--all``.
        image_size: Side of the images in pixels; decides threads.
        elsewhere: Encoders from elsewhere: the name of their records to the user's name.
        notes: Lines that the user should read before the runs.
    """

    wanted: list[Wanted]
    image_size: int
    skipped: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def resolve(request: Request) -> Resolved:
    """Load the data set and the methods, and return the wanted runs.

    Raises:
        SslbenchError: A name, a setting, a batch size or a label set that cannot be.
    """
    check_names(request)
    dataset = request.source.load()
    entries = [protocol_of(name) for name in request.protocols or protocols.DEFAULT]
    _check_label_sets(entries, dataset)
    named = list(request.methods) or method_names()
    skipped: dict[str, str] = {}
    if request.extend is not None:
        named, skipped = _trained(request, named)
    origins = {name: origin for name in named if (origin := origin_of(name, request.backbone)) is not None}
    places, unfitting = choose_backbones(request, [name for name in named if name not in origins])
    skipped |= unfitting
    wanted = []
    for name, backbone in places:
        method = load_method(name)
        kind = backbones.find(backbone).kind
        usable = {e.id: e.version for e in entries if not (e.needs_network and method.needs.backbone == "none")}
        if not usable:
            raise SslbenchError(f"method {name} has no network, and {', '.join(e.id for e in entries)} trains one")
        changed: dict[str, Any] = dict(typed_settings(name, method, kind, parse_settings(request.settings)))
        images = _images(method, dataset, request.share)
        batch = _batch(request, images, len(dataset.train_labels))
        if request.batch_size is not None and batch != datasets.batch_size(len(dataset.train_labels)):
            changed["batch_size"] = batch
        if request.share not in (None, 1) and method.needs.training:
            changed["share"] = float(request.share)
        if _one_by_one(name, method, changed, dataset, request):
            changed["views"] = "per-sample"
        budget = request.extend or request.budget
        if request.extend is not None:
            changed[EXTENDED_FROM] = datasets.epochs(request.source.name, request.budget)
        for seed in request.seeds:
            identity = Identity(
                dataset=dataset.name,
                fingerprint=dataset.fingerprint,
                task=request.source.task,
                method=name,
                method_version=method.recipe.version,
                backbone=backbone,
                backbone_version=backbones.find(backbone).version,
                harness_version=HARNESS_VERSION,
                budget=budget,
                epochs=datasets.epochs(request.source.name, budget),
                batch=batch,
                seed=seed,
                settings=changed,
            )
            wanted.append(Wanted(identity, usable))
    elsewhere: dict[str, str] = {}
    notes: list[str] = []
    for name, origin in origins.items():
        runs, said = _from_elsewhere(name, origin, request, dataset, {e.id: e.version for e in entries})
        wanted += runs
        notes += said
        elsewhere[runs[0].identity.method] = name
    if len(elsewhere) < len(origins):
        raise SslbenchError("an encoder from elsewhere is named twice; name each once")
    return Resolved(wanted, dataset.traits.size, skipped, elsewhere, tuple(notes))


def _one_by_one(
    name: str, method: type["Method"], changed: dict[str, Any], dataset: "Dataset", request: Request
) -> bool:
    """Return whether ``--views`` makes single images of views that ``auto`` would draw in batches."""
    if request.views == "auto" or not method.needs.training:
        return False
    from bench.views import why_not_batched

    traits = dataset.traits
    pipeline = method.views(settings_of(method, changed), traits)
    reason = why_not_batched(pipeline, size=traits.size, channels=traits.channels)
    if reason is not None and request.views == "batched":
        raise SslbenchError(f"--views batched: the views of {name} run image by image ({reason}); leave it out")
    return reason is None and request.views == "per-sample"


def _trained(request: Request, named: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the methods whose training can go on, and why one of ``--all`` is left out."""
    trained = [name for name in named if not is_elsewhere(name) and load_method(name).needs.training]
    left = {name: "is not trained: nothing to extend" for name in named if name not in trained}
    if left and request.methods:
        raise SslbenchError(f"--extend: method {next(iter(left))} is not trained here; leave it out")
    return trained, left


def _from_elsewhere(
    name: str, origin: "Origin", request: Request, dataset: "Dataset", protocols: dict[str, int]
) -> tuple[list[Wanted], tuple[str, ...]]:
    """Return the runs of an encoder from elsewhere, and what the user should read; it is built once to see that it can be."""
    from bench.pretrained.method import method_of, record_name

    method = method_of(origin)
    changed = typed_settings(name, method, "none", parse_settings(request.settings))
    backbone = origin.backbone()
    if backbone is None and request.backbone is not None and len(request.methods) == 1:
        raise SslbenchError(f"{name} brings its own network; leave --backbone out")
    built = origin.build(dataset.traits, changed.get("size"))
    planned = record_name(origin)
    plan_elsewhere(planned, origin)
    identities = [
        Identity(
            dataset=dataset.name,
            fingerprint=dataset.fingerprint,
            task=request.source.task,
            method=planned,
            method_version=method.recipe.version,
            backbone=backbone or OWN_NETWORK,
            backbone_version=backbones.find(backbone).version if backbone else 1,
            harness_version=HARNESS_VERSION,
            budget=NO_BUDGET,
            epochs=0,
            batch=0,
            seed=seed,
            settings=changed,
        )
        for seed in request.seeds
    ]
    return [Wanted(identity, protocols) for identity in identities], built.notes


def _images(method: type["Method"], dataset: "Dataset", share: float | None) -> int:
    """Return how many images a method is trained on."""
    from bench.data.share import seen

    return len(seen(dataset, share if method.needs.training else None, labels=method.needs.labels))


def _batch(request: Request, images: int, train: int) -> int:
    if request.batch_size is None:
        batch = datasets.batch_size(train)
        if request.share is not None and batch > images:
            raise SslbenchError(
                f"--share {request.share:g}: leaves {images} images, fewer than a batch of {batch}; take more, or --batch-size"
            )
        return batch
    if not 2 <= request.batch_size <= images:
        raise SslbenchError(
            f"--batch-size {request.batch_size}: must lie between 2 and the {images} images of pretraining"
        )
    return request.batch_size


def _check_label_sets(entries: Sequence["protocols.Entry"], dataset: "Dataset") -> None:
    from bench.data.label_sets import label_set

    for entry in entries:
        sets = protocols.label_sets_of(entry, dataset.traits.classes)
        if sets is None:
            continue
        total = entry.constants.get("total_labels")
        if total is not None and total % dataset.traits.classes:
            raise SslbenchError(
                f"protocol {entry.id}: {total} labels cannot be shared equally by {dataset.traits.classes} classes"
            )
        try:
            label_set(dataset.train_labels, sets[0], 0, dataset.class_names)
        except SslbenchError as error:
            raise SslbenchError(f"protocol {entry.id}: {error}") from error
