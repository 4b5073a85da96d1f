"""What the user asked for, and whether its names are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError
from bench.planning.settings import parse_settings
from bench.registry.methods import check_method, load_installed_protocols, load_plugin
from protocols import catalogue as protocols

Engine = Literal["auto", "batched", "per-sample"]


@dataclass(frozen=True)
class Request:
    """What ``sslbench run`` was asked.

    Attributes:
        methods: Their names; empty for all.
        source: The data set.
        budget: As ``--budget`` names it.
        backbone: The backbone, or None for the default of the data set.
        protocols: Their ids; empty for the default set.
        seeds: Of the runs.
        settings: ``KEY=VALUE``, as ``--set`` takes them.
        batch_size: Images a step, or None for the default.
        share: Of the images that pretraining sees, or None for all.
        views: The engine of the views: ``auto``, ``batched`` (refused where a pipeline cannot) or ``per-sample``.
        extend: The budget to which finished runs of ``budget`` go on, or None.
        snapshots: Epochs between two snapshots of the features, or None for no snapshots; the numbers do not depend on it.
        plugins: Files and modules that bring methods and protocols.
    """

    methods: Sequence[str]
    source: DatasetSpec
    budget: str = "standard"
    backbone: str | None = None
    protocols: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    settings: Sequence[str] = ()
    batch_size: int | None = None
    share: float | None = None
    views: Engine = "auto"
    extend: str | None = None
    snapshots: int | None = None
    plugins: Sequence[str] = ()


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
        protocol_of(name)
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


def protocol_of(name: str) -> "protocols.Entry":
    """Return a protocol by its id; an unknown one is an error of the user."""
    try:
        return protocols.resolve(name)
    except ValueError as error:
        raise SslbenchError(str(error)) from error
