"""Times one engine of a comparison; on a GPU with device events, also recording the peak memory."""

import statistics
from collections.abc import Callable
from typing import Any

import torch


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
    on_gpu = device is not None and device.type == "cuda"
    seconds: list[float] = []

    def timed() -> None:
        if not on_gpu:
            work()
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1000)

    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    benchmark.group = group
    benchmark.pedantic(timed, rounds=rounds, warmup_rounds=warmup)
    benchmark.extra_info.update(what=what, engine=engine, images=images, **facts)
    if on_gpu:
        benchmark.extra_info.update(
            device_seconds=statistics.median(seconds[warmup:]),
            peak_memory_mb=round(torch.cuda.max_memory_allocated(device) / 2**20),
        )
