"""The connection to a Ray cluster: an existing one, or one that is started on this machine."""

import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

from bench.device import cores, gpus
from bench.errors import SslbenchError
from bench.execution.ray_resources import Node, counted

_OBJECT_STORE_BYTES = 80 * 2**20
"""About the least that Ray takes; runs exchange only short messages."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to the developers of Ray
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # Ray prints nothing between the lines of the live table
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # it hides no GPU from a run that reserves none
}
"""Settings of Ray that hold unless the user has chosen others; Ray reads them when it is imported."""


def load_ray() -> Any:
    """Return the module ``ray``.

    Raises:
        SslbenchError: It is not installed.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise SslbenchError(f"--engine ray: {error}; pip install 'sslbench[ray]'") from error
    return ray


def chosen_address(address: str | None) -> str | None:
    """Return the address of the cluster: that of ``--address``, else ``RAY_ADDRESS``; None to start Ray on this machine."""
    return address or os.environ.get("RAY_ADDRESS") or None


def connect(address: str | None) -> None:
    """Connect this process to the cluster, or start Ray on this machine; nothing happens if it is connected already.

    Raises:
        SslbenchError: There is no such cluster, or it has another version of Ray or Python.
    """
    ray = load_ray()
    if ray.is_initialized():
        return
    place = chosen_address(address)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if place is None:
        local = _this_machine()
        settings |= {
            "address": "local",
            "num_cpus": local.cpus,
            "num_gpus": local.gpus,
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    else:
        settings["address"] = place
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(**settings)
    except (ImportError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if place is None:
            raise SslbenchError(f"cannot start Ray on this machine: {_line(error)}") from error
        remedy = "give the address of a cluster that runs (`ray start --head`); if it asks for a token, set RAY_AUTH_MODE=token"
        if "ray[client]" in str(error):
            remedy = "pip install 'ray[client]'"
        raise SslbenchError(f"cannot connect to Ray at {place}: {_line(error)}; {remedy}") from error


def nodes(address: str | None) -> list[Node]:
    """Return the nodes that are alive; if Ray would be started on this machine but is not yet, this machine.

    Raises:
        SslbenchError: See ``connect``.
    """
    ray = load_ray()
    if chosen_address(address) is None and not ray.is_initialized():
        return [_this_machine()]
    connect(address)
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(cpus=resources.get("CPU", 0), gpus=resources.get("GPU", 0)) for resources in alive]


def described(address: str | None, found: Sequence[Node]) -> str:
    """Return the cluster in words."""
    chosen = chosen_address(address)
    place = "on this machine" if chosen is None else f"at {chosen}"
    cpus, gpus = counted(sum(node.cpus for node in found), "CPU"), counted(sum(node.gpus for node in found), "GPU")
    return f"Ray {place}: {counted(len(found), 'node')} with {cpus} and {gpus}"


def _this_machine() -> Node:
    return Node(cpus=cores(), gpus=gpus())


def _line(error: BaseException) -> str:
    """Return the text of an error in one line."""
    return " ".join(str(error).split())[:300].removesuffix(".") or type(error).__name__
