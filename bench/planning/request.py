"""What a user asked for, and whether its names are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.errors import SslbenchError
from bench.planning.settings import parse_settings
from bench.registry.methods import check_method
from bench.registry.plugins import load_installed_protocols, load_plugin
from bench.training.options import RunOptions
from protocols import catalogue as protocols

ViewsEngine = Literal["auto", "batched", "per-sample"]


@dataclass(frozen=True)
class Request:
    """What ``sslbench run`` was asked to measure. How it is carried out is in ``RunOptions``.

    Attributes:
        methods: Method names; empty for all methods.
        budget: As given to ``--budget``.
        backbone: Backbone name, or None for the data set's default.
        protocols: Protocol ids; empty for the default set.
        seeds: Seeds of the runs.
        settings: ``KEY=VALUE`` texts, as given to ``--set``.
        batch_size: Images per step, or None for the default.
        share: Share of the images that pretraining sees, in (0, 1], or None for all.
        views: How views are drawn: ``auto``, ``batched`` (an error if a pipeline cannot be) or ``per-sample``.
        extend: Budget to which the finished runs of ``budget`` are continued, or None.
        force: Run again what is recorded.
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


def check_names(request: Request, options: RunOptions) -> None:
    """Check every name of a request without loading torch, so that a typing error is answered at once; load the plugins.

    Raises:
        SslbenchError: The first unknown name, with the nearest known one, or a value out of its range.
    """
    for plugin in options.plugins:
        load_plugin(plugin)
    for name in request.methods:
        check_method(name)
    dataset = options.dataset.name
    datasets.resolve(dataset)
    epochs = datasets.epochs(dataset, request.budget)
    if request.backbone is not None:
        backbones.find(request.backbone)
    load_installed_protocols()
    for name in request.protocols:
        protocol_of(name)
    if len(set(request.methods)) < len(request.methods):
        raise SslbenchError("a method is named twice; name each once")
    parse_settings(request.settings)
    if request.extend is not None and datasets.epochs(dataset, request.extend) <= epochs:
        raise SslbenchError(
            f"--extend {request.extend}: has {datasets.epochs(dataset, request.extend)} epochs, no more than the {epochs} of "
            f"--budget {request.budget}; name a longer budget"
        )
    if request.share is not None and not 0 < request.share <= 1:
        raise SslbenchError(f"--share {request.share:g}: must be above 0 and at most 1, for example 0.8")


def protocol_of(name: str) -> "protocols.Entry":
    """Return a protocol by its id.

    Raises:
        SslbenchError: There is none; the message has the nearest one.
    """
    try:
        return protocols.resolve(name)
    except ValueError as error:
        raise SslbenchError(str(error)) from error
