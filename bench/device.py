"""Where a run computes, in which precision, on how many threads: rules, never timings, so that a run stays the same run."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from bench.errors import SslbenchError

Precision = Literal["bf16-mixed", "32-true"]
SMALL_IMAGE = 16
"""Side in pixels up to which a run takes one thread: its layers are too small to share."""
GPU_MEMORY_OF_A_RUN = 8 * 2**30
"""Bytes that a run on images of 32 pixels may need, its CUDA context and libraries included; in proportion to the pixels above."""
CORES_OF_A_GPU_RUN = 2
"""What launches its kernels, and what looks after the rest."""


def choose_device(name: str) -> torch.device:
    """Return the device that ``--device`` names; ``auto`` is the first GPU, else the CPU.

    Raises:
        SslbenchError: An unknown name, or a CUDA device that is not there.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise SslbenchError(f"unknown device '{name}': write auto, cpu, cuda or cuda:N")
    if name == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        there = f"this machine shows {count} CUDA device{'s' if count != 1 else ''}"
        raise SslbenchError(f"device '{name}' is not there: {there}; use --device cpu or auto")
    return torch.device("cuda", index)


def device_name(device: torch.device) -> str:
    """Return what a record calls a device: the GPU's name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AMX or AVX512-BF16)."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def choose_precision(device: torch.device, backbone: str) -> Precision:
    """Return the precision of pretraining: bf16 on a GPU, and for convolutional backbones on a CPU that has it; else float32.

    Small transformers are three times slower in bf16 on a CPU.
    """
    if device.type == "cuda" or (backbone == "convolutional" and cpu_has_bf16()):
        return "bf16-mixed"
    return "32-true"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_run(size: int) -> int:
    """Return the threads of one run on images of ``size`` pixels; the count does not depend on the load."""
    return 1 if size <= SMALL_IMAGE else cores()


def runs_side_by_side(device: str, size: int) -> int:
    """Return how many runs on images of ``size`` pixels share this machine; ``device`` is ``cpu``, ``cuda`` (all GPUs) or ``cuda:N``."""
    if device == "cpu":
        return max(1, cores() // threads_of_run(size))
    numbers = range(torch.cuda.device_count()) if device == "cuda" else [int(device.partition(":")[2])]
    memory = min(torch.cuda.get_device_properties(number).total_memory for number in numbers)
    return len(numbers) * runs_on_a_gpu(memory, size, cores() // len(numbers))


def runs_on_a_gpu(memory: int, size: int, cores: int) -> int:
    """Return how many runs share a GPU of so many bytes that has so many CPU cores for itself."""
    needed = GPU_MEMORY_OF_A_RUN * max(1.0, (size / 32) ** 2)
    return max(1, min(int(memory / needed), cores // CORES_OF_A_GPU_RUN))


def set_threads(count: int) -> None:
    """Set the threads of torch and faiss in this process."""
    import faiss

    torch.set_num_threads(count)
    faiss.omp_set_num_threads(count)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Run with TF32 off, so that evaluation is float32 everywhere."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
