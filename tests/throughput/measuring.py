"""How a piece of work is timed: its name, its peer's name, the images it handles, and on a GPU events and peak memory."""

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
    """Time some rounds of work.

    Args:
        benchmark: The fixture of pytest-benchmark.
        group: Of the report.
        what: What is done: a pipeline, a method, a data set.
        engine: Who does it; the engines of one ``what`` are compared.
        work: Done once a round; on a GPU its end is waited for.
        images: Handled a round.
        rounds: How often; the median counts.
        warmup: Rounds before, not counted.
        device: Where the work is done, or None for the CPU.
        facts: Whatever else the file of figures should hold.
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
