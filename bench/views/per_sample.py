"""Runs a pipeline on one PIL image at a time, in worker processes that start when first needed."""

import contextlib
import multiprocessing
import os
import pickle
import random
import signal
import warnings
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from bench.device import on_device
from bench.errors import SslbenchError
from bench.orphan import end_with_parent
from bench.seeds import seed_everything
from bench.views.rows import Rows

_IMAGES_PER_TASK = 32

Samples = list[np.ndarray[Any, Any]]
"""The outputs of a pipeline, each stacked over the images."""


class PerSampleViews:
    """Computes the views of a batch one image at a time.

    Every image gets its own seed from the generator, so the views do not depend on the number of workers or their order.

    Attributes:
        count: Number of tensors that a call returns.
    """

    def __init__(self, pipeline: Any, *, size: int, channels: int, workers: int | None = None) -> None:
        self._pipeline = pipeline
        self._workers = _cores() if workers is None else workers
        self._pool: ProcessPoolExecutor | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        blank = np.zeros((1, channels, size, size), dtype=np.uint8)
        try:
            self.count = len(run_pipeline(pipeline, blank, [0]))
        except Exception as error:
            message = (
                f"the views cannot be drawn from images of {size}x{size}x{channels}: {type(error).__name__}: {error}"
            )
            raise SslbenchError(message) from error

    def __call__(
        self, images: UInt8[Tensor, "batch channels height width"], generator: torch.Generator, rows: Rows | None = None
    ) -> list[Tensor]:
        """Return the outputs of the pipeline, stacked over the batch, on the device of ``images``; see ``Views`` for ``rows``."""
        rows = rows or Rows(0, len(images), len(images))
        drawn = torch.randint(2**63 - 1, (rows.of,), generator=generator, device=generator.device)
        seeds = drawn[rows.part].tolist()
        pixels = images.cpu().numpy()
        starts = range(0, len(seeds), _IMAGES_PER_TASK)
        if self._workers == 0:
            parts = [run_pipeline(self._pipeline, pixels, seeds)]
        else:
            pool = self._start_pool()
            try:
                tasks = [
                    pool.submit(
                        _run_in_worker,
                        pixels[start : start + _IMAGES_PER_TASK],
                        seeds[start : start + _IMAGES_PER_TASK],
                    )
                    for start in starts
                ]
                parts = [task.result() for task in tasks]
            except BrokenProcessPool as error:
                self.close()
                raise SslbenchError(
                    "a worker process that computes views died (out of memory?): run with a smaller --jobs"
                ) from error
        return [
            on_device(torch.from_numpy(np.concatenate([part[entry] for part in parts])), images.device)
            for entry in range(self.count)
        ]

    def _start_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            try:
                pipeline = pickle.dumps(self._pipeline)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                message = (
                    f"the views cannot be sent to worker processes ({error}): build them from classes, without lambdas"
                )
                raise SslbenchError(message) from error
            # Forking this process would copy locks that its threads hold; a fork server holds none.
            methods = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, _initialise_worker, (pipeline,))
            self._finalizer = weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool

    def close(self) -> None:
        """Stop the workers; a later call starts new ones."""
        if self._finalizer is not None:
            self._finalizer()
        self._pool = self._finalizer = None


def run_pipeline(
    pipeline: Any, pixels: UInt8[np.ndarray[Any, Any], "batch channels height width"], seeds: Sequence[int]
) -> Samples:
    """Return the outputs of the pipeline for each image, stacked.

    The pipeline draws from the global generators of torch, numpy and Python, which are seeded for each image and restored
    afterwards.
    """
    rows: list[list[Any]] = []
    with _global_generators_restored(), warnings.catch_warnings():
        # lightly's crop with a grid calls the deprecated function; users cannot change that.
        warnings.filterwarnings("ignore", message=r".*get_image_size.* is deprecated", category=UserWarning)
        for image, seed in zip(pixels, seeds, strict=True):
            seed_everything(seed)
            picture = Image.fromarray(image[0], "L") if len(image) == 1 else Image.fromarray(np.moveaxis(image, 0, 2))
            result = pipeline(picture)
            rows.append([np.asarray(entry) for entry in (result if isinstance(result, list | tuple) else [result])])
    return [np.stack(entries) for entries in zip(*rows, strict=True)]


@contextlib.contextmanager
def _global_generators_restored() -> Iterator[None]:
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_pipeline: Any = None
"""The pipeline of this worker process."""


def _initialise_worker(pipeline: bytes) -> None:
    global _pipeline
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    end_with_parent(0)
    _pipeline = pickle.loads(pipeline)


def _run_in_worker(pixels: UInt8[np.ndarray[Any, Any], "batch channels height width"], seeds: Sequence[int]) -> Samples:
    return run_pipeline(_pipeline, pixels, seeds)
