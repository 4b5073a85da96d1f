"""Device, precision and number of threads of a run, and all that depends on the kind of device; each has its form on a CPU.

Device, precision and threads follow rules, not timings, so that a repeated run computes the same.
"""

import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from bench.errors import SslbenchError

Precision = Literal["bf16-mixed", "32-true"]
SMALL_IMAGE = 16
"""Images up to this side in pixels are trained on one thread; their layers are too small for several."""
GPU_MEMORY_OF_A_RUN = 8 * 2**30
"""Bytes for a run on images of 32 × 32 pixels, with its CUDA context and libraries; larger images need proportionally more."""
CORES_OF_A_GPU_RUN = 2
"""One core launches kernels, one is for everything else."""


def choose_device(name: str) -> torch.device:
    """Return the device that ``--device`` names; ``auto`` is the first GPU, else the CPU.

    Raises:
        SslbenchError: The name is unknown, or the CUDA device does not exist.
    """
    if name == "auto":
        return torch.device("cuda:0" if gpus() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,4})?", name):
        raise SslbenchError(f"unknown device '{name}': write auto, cpu, cuda or cuda:N")
    if name == "cpu":
        return torch.device("cpu")
    count = gpus()
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        found = f"this machine has {count} CUDA device{'s' if count != 1 else ''}"
        raise SslbenchError(f"device '{name}' does not exist: {found}; use --device cpu or auto")
    return torch.device("cuda", index)


def resolve_device(name: str) -> str:
    """Return ``--device`` with ``auto`` resolved: ``cpu``, ``cuda`` (all GPUs) or ``cuda:N``; raises as ``choose_device``."""
    device = choose_device(name)
    return "cuda" if name in ("auto", "cuda") and device.type == "cuda" else str(device)


def check_devices(devices: int, name: str) -> None:
    """Check that a run can be trained on this many devices.

    Args:
        devices: Number of devices of a run.
        name: Value of ``--device``; on a CPU a device is a process, and each needs a core.

    Raises:
        SslbenchError: There are fewer devices.
    """
    device = choose_device(name)
    if devices == 1:
        return
    if device.type == "cuda" and ":" in name:
        raise SslbenchError(f"--devices {devices}: --device {name} is one device; use --device cuda")
    available = gpus() if device.type == "cuda" else cores()
    if devices > available:
        kind = "CUDA device" if device.type == "cuda" else "core"
        raise SslbenchError(
            f"--devices {devices}: this machine has {available} {kind}{'s' if available != 1 else ''}; give at most {available}"
        )


def device_of_slot(name: str, slot: int, devices: int = 1) -> torch.device:
    """Return the first device of one of several runs that run at the same time: with ``cuda`` they are spread over all GPUs.

    Args:
        name: Value of ``--device``.
        slot: Number of the run among those that run at the same time.
        devices: Number of devices of each run.
    """
    if name == "cuda":
        return torch.device("cuda", slot % max(1, gpus() // devices) * devices)
    return choose_device(name)


def neighbours(first: torch.device, devices: int) -> list[torch.device]:
    """Return the devices of a run by the first one: the next GPUs, or the CPU several times."""
    if first.type == "cuda":
        return [torch.device("cuda", (first.index or 0) + number) for number in range(devices)]
    return [first] * devices


def gpus() -> int:
    """Return the number of GPUs that torch finds."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_name(device: torch.device) -> str:
    """Return the name of a device in a record: the GPU's name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AMX or AVX512-BF16)."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def choose_precision(device: torch.device, backbone: str) -> Precision:
    """Return the precision of pretraining: bf16 on a GPU, and for convolutional backbones on a CPU with bf16 hardware; otherwise float32.

    Small transformers are three times slower in bf16 on a CPU.
    """
    if device.type == "cuda" or (backbone == "convolutional" and cpu_has_bf16()):
        return "bf16-mixed"
    return "32-true"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_run(size: int) -> int:
    """Return the number of threads of one run on images of ``size`` pixels, whatever else runs on the machine."""
    return 1 if size <= SMALL_IMAGE else cores()


def threads_of_process(threads: int, devices: int) -> int:
    """Return the number of threads of each process of a run: its threads are shared among its devices."""
    return max(1, threads // devices)


def runs_side_by_side(device: str, size: int, devices: int = 1) -> int:
    """Return how many runs run at the same time.

    Args:
        device: ``cpu``, ``cuda`` (all GPUs) or ``cuda:N``.
        size: Side of the images in pixels.
        devices: Number of devices of each run.
    """
    if device == "cpu":
        return max(1, cores() // max(threads_of_run(size), devices))
    numbers = range(gpus()) if device == "cuda" else [int(device.partition(":")[2])]
    memory = min(torch.cuda.get_device_properties(number).total_memory for number in numbers)
    return max(1, len(numbers) // devices) * runs_on_a_gpu(memory, size, cores() // len(numbers))


def runs_on_a_gpu(memory: int, size: int, cores: int) -> int:
    """Return how many runs share a GPU.

    Args:
        memory: Memory of the GPU in bytes.
        size: Side of the images in pixels.
        cores: CPU cores for this GPU.
    """
    needed = GPU_MEMORY_OF_A_RUN * max(1.0, (size / 32) ** 2)
    return max(1, min(int(memory / needed), cores // CORES_OF_A_GPU_RUN))


def set_threads(count: int) -> None:
    """Set the number of threads of torch and faiss in this process."""
    import faiss

    torch.set_num_threads(count)
    faiss.omp_set_num_threads(count)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Turn TF32 off within a ``with`` block, so that evaluation is float32 on every device."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def new_generator(device: torch.device | str) -> torch.Generator:
    """Return a new random generator on a device."""
    return torch.Generator(device=device)


def pinned(tensor: Tensor) -> Tensor:
    """Return a copy in page-locked memory, from which a GPU reads while the host goes on."""
    return tensor.pin_memory()


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; the host does not wait for the copy to a GPU, nor for the work before it."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return (tensor if tensor.is_pinned() else pinned(tensor)).to(device, non_blocking=True)


def all_on_device(collection: Any, device: torch.device) -> Any:
    """Return nested lists, tuples, dicts and dataclasses with all their tensors on a device; see ``on_device``."""
    return apply_to_collection(collection, Tensor, on_device, device)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done all work so far; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free_memory(device: torch.device) -> tuple[int, int]:
    """Return the free memory and the whole memory of a GPU, in bytes."""
    return torch.cuda.mem_get_info(device)


def room_for_images(device: torch.device) -> float:
    """Return how many bytes the images of a data set may take on a device: half of a GPU's free memory, on a CPU any number."""
    return free_memory(device)[0] / 2 if device.type == "cuda" else math.inf


def peak_gpu_memory(device: torch.device) -> int | None:
    """Return the peak memory of this process on a GPU since ``reset_peak_gpu_memory``, in bytes; None for a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def reset_peak_gpu_memory(device: torch.device) -> None:
    """Count the peak memory from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


class Stopwatch:
    """Times work on a device: by events on a GPU, which also count the work that the host only started, else by the clock."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._started: Any = None

    def start(self) -> None:
        """Begin to count."""
        self._started = self._now()

    def stop(self) -> float:
        """Return the seconds since ``start``; waits for the device."""
        ended = self._now()
        if self._device.type == "cpu":
            return float(ended - self._started)
        ended.synchronize()
        return float(self._started.elapsed_time(ended)) / 1000

    def _now(self) -> Any:
        if self._device.type == "cpu":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event
