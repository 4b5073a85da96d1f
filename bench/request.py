"""What the user asked for, checked and made whole: names to methods, data set, protocols, identities."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import HARNESS_VERSION
from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.discover import (
    check_method,
    load_installed_protocols,
    load_method,
    load_plugin,
    method_names,
    origin_of,
    plan_elsewhere,
)
from bench.elsewhere.forms import is_elsewhere
from bench.errors import SslbenchError
from bench.plan import EXTENDED_FROM, Wanted
from bench.records import NO_BUDGET, OWN_NETWORK, Identity, TaskName
from bench.settings import parse_settings, typed_settings
from protocols import catalogue as protocols

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.elsewhere.method import Origin
    from methods.base import Method


@dataclass(frozen=True)
class Source:
    """Where the images come from; small and picklable, so that every worker loads them itself.

    Attributes:
        name: As the user wrote it.
        data_root: Where downloaded files lie, or None.
        image_size: Of a folder's images, or None for the default.
        flip: False where a mirrored image changes its class; None for the data set's own.
        task: ``test``, or ``val`` for the development task.
    """

    name: str
    data_root: Path | None = None
    image_size: int | None = None
    flip: bool | None = None
    task: TaskName = "test"

    def load(self) -> "Dataset":
        """Load the data set, from the cache where it is decoded already."""
        from bench.data import load

        return load(
            self.name,
            data_root=self.data_root,
            image_size=self.image_size,
            flip=self.flip,
            development=self.task == "val",
        )


@dataclass(frozen=True)
class Request:
    """What ``sslbench run`` was asked.

    Attributes:
        methods: Their names; empty for all.
        source: The data set.
        budget: As ``--budget`` names it.
        backbone: The trunk, or None for the default of the data set.
        protocols: Their ids; empty for the default set.
        seeds: Of the runs.
        settings: ``KEY=VALUE``, as ``--set`` takes them.
        batch_size: Images a step, or None for the default.
        share: Of the images that pretraining sees, or None for all.
        extend: The budget to which finished runs of ``budget`` go on, or None.
        snapshots: Epochs between two snapshots of the features, or None for no snapshots; the numbers do not depend on it.
        plugins: Files and modules that bring methods and protocols.
    """

    methods: Sequence[str]
    source: Source
    budget: str = "standard"
    backbone: str | None = None
    protocols: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    settings: Sequence[str] = ()
    batch_size: int | None = None
    share: float | None = None
    extend: str | None = None
    snapshots: int | None = None
    plugins: Sequence[str] = ()


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


def check_names(request: Request) -> None:
    """Check every name of a request without loading torch, so that a typing error is answered at once.

    Raises:
        SslbenchError: The first unknown name, with the nearest known one.
    """
    for source in request.plugins:
        load_plugin(source)
    for name in request.methods:
        check_method(name)
    datasets.resolve(request.source.name)
    datasets.epochs(request.source.name, request.budget)
    if request.backbone is not None:
        backbones.find(request.backbone)
    load_installed_protocols()
    for name in request.protocols:
        _entry(name)
    if len(set(request.methods)) < len(request.methods):
        raise SslbenchError("a method is named twice; name each once")
    parse_settings(request.settings)
    if request.extend is not None:
        before, after = (datasets.epochs(request.source.name, one) for one in (request.budget, request.extend))
        if after <= before:
            raise SslbenchError(
                f"--extend {request.extend}: is {after} epochs, and --budget {request.budget} has {before} already; name more"
            )
    if request.share is not None and not 0 < request.share <= 1:
        raise SslbenchError(f"--share {request.share:g}: must lie above 0 and not above 1, for example 0.8")


def resolve(request: Request) -> Resolved:
    """Load the data set and the methods, and return the wanted runs.

    Raises:
        SslbenchError: A name, a setting, a batch size or a label set that cannot be.
    """
    check_names(request)
    dataset = request.source.load()
    entries = [_entry(name) for name in request.protocols or protocols.DEFAULT]
    _check_label_sets(entries, dataset)
    named = list(request.methods) or method_names()
    skipped: dict[str, str] = {}
    if request.extend is not None:
        named, skipped = _trained(request, named)
    origins = {name: origin for name in named if (origin := origin_of(name, request.backbone)) is not None}
    placed, unfitting = _placed(request, [name for name in named if name not in origins])
    skipped |= unfitting
    wanted = []
    for name, backbone in placed:
        method = load_method(name)
        kind = backbones.find(backbone).kind
        usable = {e.id: e.version for e in entries if not (e.needs_network and method.needs.trunk == "none")}
        if not usable:
            raise SslbenchError(f"method {name} has no network, and {', '.join(e.id for e in entries)} trains one")
        changed: dict[str, Any] = dict(typed_settings(name, method, kind, parse_settings(request.settings)))
        images = _images(method, dataset, request.share)
        batch = _batch(request, images, len(dataset.train_labels))
        if request.batch_size is not None and batch != datasets.batch_size(len(dataset.train_labels)):
            changed["batch_size"] = batch
        if request.share not in (None, 1) and method.needs.training:
            changed["share"] = float(request.share)
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
    from bench.elsewhere.method import method_of, record_name

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


def _placed(request: Request, named: Sequence[str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return each method with its backbone, and why a method was left out of ``--all``.

    Where no backbone is named, a method that needs a transformer gets that of the data set, and a floor or ceiling is measured on
    every backbone that another method is.
    """
    placed, skipped = [], {}
    if request.backbone is not None:
        for name in named:
            reason = unfit(load_method(name), request.backbone)
            if reason is None:
                placed.append((name, request.backbone))
            elif request.methods:
                raise SslbenchError(f"method {name}: {reason}")
            else:
                skipped[name] = reason
        if named and not placed:
            raise SslbenchError(
                f"no method can use backbone {request.backbone}: {'; '.join(f'{n} {why}' for n, why in skipped.items())}"
            )
        return placed, skipped
    default = datasets.default_backbone(request.source.name)
    transformer = datasets.default_backbone(request.source.name, transformer=True)
    needs_transformer = [name for name in named if load_method(name).needs.trunk == "transformer"]
    apart = [name for name in named if load_method(name).family == "floor and ceiling"]
    first = [name for name in named if name not in needs_transformer]
    if needs_transformer and first == apart:
        first = []
    second = [name for name in named if needs_transformer and name in (*needs_transformer, *apart)]
    return [(name, default) for name in first] + [(name, transformer) for name in second], {}


def unfit(method: type["Method"], backbone: str) -> str | None:
    """Return why a method cannot use a backbone, or None."""
    kind = backbones.find(backbone).kind
    needed = method.needs.trunk
    if needed in ("any", "none") or needed == kind:
        return None
    return f"needs a {needed} backbone, {backbone} is {'an' if kind[0] in 'aeiou' else 'a'} {kind} one"


def _entry(name: str) -> "protocols.Entry":
    try:
        return protocols.resolve(name)
    except ValueError as error:
        raise SslbenchError(str(error)) from error


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
