"""What a run gets on a Ray cluster: GPUs, CPUs and threads, by the sizes of the nodes. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.device import SMALL_IMAGE
from bench.errors import SslbenchError

_PARTS = 10_000
"""Ray counts CPUs and GPUs in ten-thousandths."""


@dataclass(frozen=True)
class Node:
    """The CPUs and GPUs of one machine, as Ray counts them."""

    cpus: float
    gpus: float


@dataclass(frozen=True)
class Resources:
    """What one run gets.

    Attributes:
        gpus: GPUs; a fraction shares one with other runs, 0 if the runs use the CPU.
        cpus: CPUs that Ray reserves.
        threads: Threads of the run.
    """

    gpus: float
    cpus: float
    threads: int

    def described(self) -> str:
        """Return them in words."""
        return (
            f"{counted(self.gpus, 'GPU')} and {counted(self.cpus, 'CPU')}" if self.gpus else counted(self.cpus, "CPU")
        )


def resources_of_run(nodes: Sequence[Node], device: str, devices_per_run: float | None, size: int) -> Resources:
    """Return what each run on images of ``size`` pixels gets.

    On GPUs a run gets its share of the CPUs of a node, on the CPU one core for small images, and otherwise as many as the smallest
    node has. All runs get the same, so that their numbers do not depend on the node.

    Args:
        nodes: The nodes of the cluster; at least one.
        device: ``cpu``, ``cuda``, or ``auto``: GPUs if any node has one.
        devices_per_run: Value of ``--devices-per-run``.
        size: Side of the images in pixels.

    Raises:
        SslbenchError: No node can carry out such a run.
    """
    wanted = _number_of_devices(devices_per_run)
    if device == "cpu" or (device == "auto" and not any(node.gpus for node in nodes)):
        if wanted != 1:
            raise SslbenchError(
                f"--devices-per-run {wanted:g}: is a number of GPUs, but these runs use the CPU; remove it"
            )
        cores = [int(node.cpus) for node in nodes if node.cpus >= 1]
        if not cores:
            raise SslbenchError("no node of the Ray cluster has a CPU for a run; start one with `ray start --num-cpus`")
        threads = 1 if size <= SMALL_IMAGE else min(cores)
        return Resources(gpus=0, cpus=threads, threads=threads)
    fitting = [node for node in nodes if node.gpus >= wanted and node.cpus]
    if not fitting:
        most = max(node.gpus for node in nodes)
        raise SslbenchError(
            f"no node of the Ray cluster has {counted(wanted, 'GPU')} and a CPU for a run "
            f"(the most GPUs of a node: {most:g}); change --devices-per-run, or use --device cpu"
        )
    share = min(node.cpus * wanted / node.gpus for node in fitting)
    cpus = math.floor(share) if share >= 1 else max(1, math.floor(share * _PARTS)) / _PARTS
    return Resources(gpus=wanted, cpus=cpus, threads=1 if size <= SMALL_IMAGE else max(1, int(cpus)))


def room(nodes: Sequence[Node], each: Resources) -> int:
    """Return how many runs the cluster carries out at the same time."""
    return sum(int(min(_times(node.cpus, each.cpus), _times(node.gpus, each.gpus))) for node in nodes)


def counted(number: float, what: str) -> str:
    """Return a number with its noun: ``1 CPU``, ``0.5 CPUs``."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _number_of_devices(devices_per_run: float | None) -> float:
    """Return the number of GPUs of a run.

    Raises:
        SslbenchError: It is no share of a GPU, or no whole number of them.
    """
    wanted = 1.0 if devices_per_run is None else devices_per_run
    if not (1 / _PARTS <= wanted <= 1 or (1 < wanted < math.inf and wanted == int(wanted))):
        raise SslbenchError(f"--devices-per-run {wanted:g}: must be a whole number of GPUs, or a share such as 0.25")
    return wanted


def _times(total: float, each: float) -> float:
    return math.inf if not each else round(total * _PARTS) // round(each * _PARTS)
