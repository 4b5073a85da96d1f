"""Times one engine of a comparison; on a GPU with device events, also recording the peak memory."""

import statistics
from collections.abc import Callable
from typing import Any

import torch

from bench.device import Stopwatch, peak_gpu_memory, reset_peak_gpu_memory


def measure(
    benchmark: Any,
    group: str,
    what: str,
    engine: str,
    work: Callable[[], object],
    *,
    images: int,
    rounds: int = 5,
    warmup: int = 2,
    device: torch.device | None = None,
    **facts: Any,
) -> None:
    """Time several rounds of a function.

    Args:
        benchmark: The fixture of pytest-benchmark.
        group: Group in the report.
        what: The measured item: a pipeline, a method or a data set.
        engine: The implementation; the engines of one ``what`` are compared.
        work: Called once per round; on a GPU, timing includes waiting for its end.
        images: Number of images per round.
        rounds: Number of timed rounds; the median is reported.
        warmup: Number of rounds before, which are not timed.
        device: Device of the work; None means the CPU.
        facts: Further entries that are stored with the numbers.
    """
    device = device or torch.device("cpu")
    watch, seconds = Stopwatch(device), []

    def timed() -> None:
        watch.start()
        work()
        seconds.append(watch.stop())

    reset_peak_gpu_memory(device)
    benchmark.group = group
    benchmark.pedantic(timed, rounds=rounds, warmup_rounds=warmup)
    benchmark.extra_info.update(what=what, engine=engine, images=images, **facts)
    peak = peak_gpu_memory(device)
    if peak is not None:
        benchmark.extra_info.update(
            device_seconds=statistics.median(seconds[warmup:]), peak_memory_mb=round(peak / 2**20)
        )
