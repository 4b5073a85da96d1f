"""The trackers by name; their libraries are imported only when one is used."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from bench.errors import SslbenchError, unknown
from bench.tracking.tracker import Tracker

TRACKERS = {"tensorboard": "TensorBoardTracker", "wandb": "WandbTracker", "mlflow": "MlflowTracker"}
"""Name of a tracker, of its extra, of its library and of its module here -> its class."""


def check(names: Sequence[str]) -> None:
    """Raise SslbenchError if a tracker is unknown or its library is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        found = find_spec(name)
        # A folder of this name without code, such as the one that W&B writes, has no origin.
        if found is None or found.origin is None:
            raise SslbenchError(f"--track {name} needs {name}: pip install 'sslbench[{name}]'")


def load(name: str) -> Tracker:
    """Return a new tracker."""
    return cast(Tracker, getattr(import_module(f"bench.tracking.{name}"), TRACKERS[name])())
