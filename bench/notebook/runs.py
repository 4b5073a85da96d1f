"""Carry out runs, and measure a network that is in memory."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from torch import nn

from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError
from bench.planning.request import Request
from bench.records.record import Record
from bench.records.store import Store
from bench.training.options import RunOptions


def run(
    methods: str | Sequence[str],
    *,
    dataset: str = "digits",
    budget: str = "standard",
    backbone: str | None = None,
    protocols: Sequence[str] = (),
    seeds: int = 1,
    settings: Mapping[str, object] | None = None,
    results: str | Path = "results",
    on: Literal["test", "val"] = "test",
    data_root: str | Path | None = None,
    image_size: int | None = None,
    plugins: Sequence[str] = (),
    device: str = "auto",
    jobs: int | Literal["auto"] = "auto",
    force: bool = False,
    progress: bool = False,
    measure_on: Sequence[str] = (),
) -> list[Record]:
    """Run methods and return their records, also those that existed already; the same as ``sslbench run``.

    Args:
        methods: Names of methods, or of encoders from elsewhere (``timm:NAME``, ``checkpoint:FILE``, ``hf-model:DIR``).
        dataset: Name of a data set, or own images such as ``folder:PATH``.
        budget: ``smoke``, ``quick``, ``standard``, ``long``, or a number of epochs such as ``100ep``.
        backbone: Name of a backbone; None for the data set's default.
        protocols: Names of protocols; none for the default set.
        seeds: Number of seeds: 0 to N - 1.
        settings: Settings of the method that are changed, by name.
        results: The results folder.
        on: ``test``, or ``val`` for the development task, the only place to choose settings.
        data_root: Folder with data sets that are downloaded already; None for ``SSLBENCH_DATA``.
        image_size: Size in pixels to which own images are resized; None for 96.
        plugins: Files or modules with methods or protocols.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        jobs: Number of runs at the same time.
        force: Repeat runs that are already recorded.
        progress: Print the plan and the progress.
        measure_on: Other data sets on which the encoders are measured too, under ``knn``, ``linear`` and ``lowshot-1pct-frozen``; the
            measurements are in ``record.protocols`` under ``transfer-<data set>-knn`` and so on.

    Returns:
        One record per method and seed, in this order; a failed run has the status ``failed`` and the cause.

    Raises:
        SslbenchError: A name, a value or the data cannot be used.
    """
    from rich.console import Console

    from bench.execution.session import perform

    request = Request(
        methods=[methods] if isinstance(methods, str) else list(methods),
        budget=budget,
        backbone=backbone,
        protocols=tuple(protocols),
        seeds=list(range(seeds)),
        settings=[f"{key}={value}" for key, value in (settings or {}).items()],
        force=force,
        measure_on=tuple(measure_on),
    )
    if not request.methods or seeds < 1:
        raise SslbenchError("run: name at least one method, and at least one seed")
    options = RunOptions(
        results=Path(results),
        dataset=DatasetSpec(dataset, None if data_root is None else Path(data_root), image_size, None, on),
        device=device,
        plugins=tuple(map(str, plugins)),
        jobs=str(jobs),
    )
    console = Console() if progress else Console(file=StringIO(), width=160)
    with _main_not_imported():
        performed = perform(request, options, console)
    store = Store(options.results)
    found = [store.read(planned.identity) for planned in performed.runs]
    return [record for record in found if record is not None]


def evaluate(
    module: nn.Module,
    dataset: str = "digits",
    *,
    name: str = "module",
    protocols: Sequence[str] = (),
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    results: str | Path | None = None,
    data_root: str | Path | None = None,
    image_size: int | None = None,
    on: Literal["test", "val"] = "test",
    device: str = "auto",
) -> Record:
    """Measure a network under the protocols, in this process; it is not changed, and no test label reaches it.

    Args:
        module: Returns features B×D, or a feature map B×D×h×w, which is averaged, for normalised float32 images B×C×H×W.
        dataset: Name of a data set, or own images such as ``folder:PATH``.
        name: Name of its row.
        protocols: Names of protocols; none for the default set.
        size: Side of its images in pixels; None for the data set's.
        mean: Mean of each channel that is subtracted from pixels in [0, 1]; None for the data set's.
        std: Standard deviation by which they are then divided; given together with ``mean``.
        results: Results folder in which the record is kept; None to keep none.
        data_root: As for ``run``.
        image_size: As for ``run``.
        on: As for ``run``.
        device: As for ``run``.

    Returns:
        The record; its row is in the group of encoders from elsewhere. ``record.protocols["knn"].metrics["top1"]`` is a score in [0, 1].

    Raises:
        SslbenchError: The network, a name or the data cannot be used, or the measurement failed.
    """
    from tempfile import TemporaryDirectory

    if not isinstance(module, nn.Module):
        raise SslbenchError(f"evaluate: {type(module).__name__} is no nn.Module")
    given: dict[str, Any] = {} if size is None else {"size": size}
    if mean is not None or std is not None:
        given |= {"mean": mean, "std": std} if mean is not None and std is not None else {"mean": mean or std}
    spec = DatasetSpec(dataset, None if data_root is None else Path(data_root), image_size, None, on)
    with TemporaryDirectory() as temporary:
        options = RunOptions(Path(temporary) if results is None else Path(results), spec, device=device)
        return _measured(module, name, given, protocols, options)


def _measured(
    module: nn.Module, name: str, given: Mapping[str, Any], protocols: Sequence[str], options: RunOptions
) -> Record:
    import torch

    from bench.device import resolve_device, set_threads, threads_of_run
    from bench.execution.run import execute
    from bench.planning.plan_runs import plan_runs
    from bench.pretrained.plugin_function import EncoderFunction
    from bench.registry import methods
    from bench.training.context import RunContext

    source = f"{type(module).__module__}.{type(module).__qualname__}"
    origin = EncoderFunction(name, lambda: copy.deepcopy(module), given, source, title="A network given from Python")
    threads, generators = torch.get_num_threads(), torch.get_rng_state()
    methods.add_encoder(name, origin, ModuleType(name), "evaluate")
    try:
        dataset = options.dataset.load()
        (planned,) = plan_runs(Request(methods=[name], protocols=tuple(protocols)), options, lambda: None).runs
        device = resolve_device(options.device)
        set_threads(threads_of_run(dataset.traits.size))
        context = RunContext(options, Store(options.results), torch.device("cuda:0" if device == "cuda" else device))
        record = execute(planned, dataset, context)
    finally:
        methods.remove(name)
        torch.set_num_threads(threads)
        torch.set_rng_state(generators)
    if record is None or record.status in ("failed", "diverged"):
        raise SslbenchError(f"evaluate: {name} could not be measured: {record.cause if record else 'no record'}")
    return record


@contextmanager
def _main_not_imported() -> Iterator[None]:
    """Keep the processes of runs from importing the caller's script, which would call ``run`` again; they need nothing of it."""
    main = sys.modules.get("__main__")
    hidden = {key: getattr(main, key) for key in ("__file__", "__spec__") if getattr(main, key, None) is not None}
    if main is None or not hidden:
        yield
        return
    try:
        vars(main).pop("__file__", None)
        main.__spec__ = None
        yield
    finally:
        vars(main).update(hidden)
