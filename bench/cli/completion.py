"""Names that the shell completes: methods, data sets, protocols, budgets, backbones, studies and recorded runs. Imports no torch."""

from collections.abc import Iterable
from pathlib import Path

import typer

MOST = 200
"""Names that are offered at most."""


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)][:MOST]


def methods(incomplete: str) -> list[str]:
    """Return the methods, and the beginnings of names of encoders from elsewhere."""
    from bench.pretrained.names import CHECKPOINT, TIMM, TRANSFORMERS
    from bench.registry.methods import method_names

    return _starting([*method_names(), TIMM, TRANSFORMERS, CHECKPOINT], incomplete)


def datasets(incomplete: str) -> list[str]:
    """Return the published data sets, and the beginnings of names of own images."""
    from bench.data import catalogue

    return _starting([*catalogue.names(), *(entry.prefix or "" for entry in catalogue.OWN_ENTRIES)], incomplete)


def protocols(incomplete: str) -> list[str]:
    """Return the protocols with a name in the catalogue."""
    from protocols import catalogue

    return _starting(dict.fromkeys([*catalogue.DEFAULT, *(entry.id for entry in catalogue.NAMED)]), incomplete)


def budgets(incomplete: str) -> list[str]:
    """Return the budgets."""
    from bench.data.catalogue import BUDGETS

    return _starting(BUDGETS, incomplete)


def backbones(incomplete: str) -> list[str]:
    """Return the backbones."""
    from bench.backbones.catalogue import CATALOGUE

    return _starting(CATALOGUE, incomplete)


def studies(incomplete: str) -> list[str]:
    """Return the included studies."""
    from bench.studies.load import names

    return _starting(names(), incomplete)


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the recorded runs of the results folder that the command line names."""
    from bench.records.store import Store

    store = Store(Path(context.params.get("results") or "results"))
    folder = store.records_dir("test")
    return _starting((path.relative_to(folder).with_suffix("").as_posix() for path in store.paths("test")), incomplete)
