"""What the user wants to measure, and the check of its names and values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError
from bench.planning.settings import parse_settings
from bench.registry.methods import check_method
from bench.registry.plugins import load_installed_protocols, load_plugin
from bench.training.options import RunOptions
from protocols import catalogue as protocols
from protocols.variants import SIGN

ViewsEngine = Literal["auto", "batched", "per-sample"]


@dataclass(frozen=True)
class Request:
    """What to measure. How runs are carried out is in ``RunOptions``.

    Attributes:
        methods: Method names; empty for all methods.
        budget: Value of ``--budget``.
        backbone: Backbone name, or None for the data set's default.
        protocols: Protocol ids; empty for the default set.
        seeds: Seeds of the runs.
        settings: Values of ``--set``, each ``KEY=VALUE``.
        batch_size: Images per step, or None for the default.
        share: Share of the images used for pretraining, in (0, 1], or None for all.
        views: How views are drawn: ``auto`` (batched if possible), ``batched`` (an error if not possible) or ``per-sample``.
        extend: Budget to which the finished runs of ``budget`` are continued, or None.
        force: Whether to repeat runs that are already recorded.
        measure_on: Other data sets on which the encoders are measured too, named as for ``--dataset``.
    """

    methods: Sequence[str]
    budget: str = "standard"
    backbone: str | None = None
    protocols: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    settings: Sequence[str] = ()
    batch_size: int | None = None
    share: float | None = None
    views: ViewsEngine = "auto"
    extend: str | None = None
    force: bool = False
    measure_on: Sequence[str] = ()


def check_names(request: Request, options: RunOptions) -> None:
    """Load the plugins, and check names and values before torch and the data set are loaded.

    Raises:
        SslbenchError: An unknown name (the message suggests the nearest one), or a value out of range.
    """
    for plugin in options.plugins:
        load_plugin(plugin)
    for name in request.methods:
        check_method(name)
    dataset = options.dataset.name
    datasets.resolve(dataset)
    epochs = datasets.epochs(dataset, request.budget)
    _check_other_names(request.measure_on, options.dataset)
    if request.backbone is not None:
        backbones.find(request.backbone)
    load_installed_protocols()
    for name in request.protocols:
        if (on := protocol_of(name).on) is not None:
            raise SslbenchError(f"protocol {name}: is measured by --measure-on {on}; remove it from the protocols")
    if len(set(request.protocols)) < len(request.protocols):
        raise SslbenchError("a protocol is given twice; give each protocol once")
    if len(set(request.methods)) < len(request.methods):
        raise SslbenchError("a method is given twice; give each method once")
    parse_settings(request.settings)
    if request.extend is not None and datasets.epochs(dataset, request.extend) <= epochs:
        raise SslbenchError(
            f"--extend {request.extend}: has {datasets.epochs(dataset, request.extend)} epochs, not more than the {epochs} of "
            f"--budget {request.budget}; give a longer budget"
        )
    if request.share is not None and not 0 < request.share <= 1:
        raise SslbenchError(f"--share {request.share:g}: must be above 0 and at most 1, for example 0.8")


def protocol_of(name: str) -> "protocols.Entry":
    """Return a protocol by its id.

    Raises:
        SslbenchError: The id is unknown (the message suggests the nearest one), or a changed constant is out of its range.
    """
    try:
        entry = protocols.resolve(name)
        if SIGN in name or not entry.module.startswith("protocols."):
            protocols.check_constants(entry)
    except ValueError as error:
        raise SslbenchError(str(error)) from error
    return entry


def _check_other_names(names: Sequence[str], own: DatasetSpec) -> None:
    """Check the values of ``--measure-on``."""
    for name in names:
        datasets.resolve(name)
        if name == own.name:
            raise SslbenchError(
                f"--measure-on {name}: is the data set of pretraining (--dataset), which is measured anyway; name another one"
            )
    if len(set(names)) < len(names):
        raise SslbenchError("a data set of --measure-on is given twice; give each one once")
