"""Turns a pipeline object into a function that computes the views of a batch.

Whole batches are transformed on the device. If a step has no batched form, worker processes transform one image at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bench.device import on_device
from bench.views.per_sample import PerSampleViews
from bench.views.pipeline import UnknownStepError, programs_of
from bench.views.prepare import normalise
from bench.views.program import Program
from bench.views.rows import Rows

_CHUNK_PIXELS = 256 * 3 * 32 * 32
"""Pixel values per chunk on the CPU: few enough for the caches, enough for the vector units."""

Images = UInt8[Tensor, "batch channels height width"]


class Views:
    """Computes the views of a batch.

    Attributes:
        count: Number of tensors that a call returns: the views, then the grids of positions, if the pipeline has any.
        engine: ``batched`` transforms whole batches, ``per-sample`` single images in worker processes.
        reason: Why the engine is ``per-sample``, in one line; None if it is ``batched``.
        close: Stops the workers, if there are any.
    """

    def __init__(
        self,
        draw: Callable[[Images, torch.Generator, Rows | None], list[Tensor]],
        count: int,
        reason: str | None,
        statistics: tuple[tuple[float, ...], tuple[float, ...]] | None,
        channels: int,
        device: torch.device,
        close: Callable[[], None],
    ) -> None:
        self.count = count
        self.engine: Literal["batched", "per-sample"] = "per-sample" if reason else "batched"
        self.reason = reason
        self.close = close
        self._draw = draw
        self._statistics = statistics
        self._channels = channels
        self._device = device

    def __call__(self, images: Images, generator: torch.Generator, rows: Rows | None = None) -> list[Tensor]:
        """Return the views in the pipeline's order, normalised if ``compile_views`` received ``mean`` and ``std``.

        Args:
            images: uint8 B×C×H×W.
            generator: A generator on the device of the views; the same state gives the same views.
            rows: The rows of a larger batch that the images are. Random numbers are drawn for that batch, so that the views are
                those of the same rows of its views; None if the images are the whole batch.
        """
        views = self.unnormalised(images, generator, rows)
        if self._statistics is None:
            return views
        mean, std = self._statistics
        return [normalise(view, mean, std) if self._is_image(view) else view for view in views]

    def unnormalised(self, images: Images, generator: torch.Generator, rows: Rows | None = None) -> list[Tensor]:
        """Return the views as float32 in [0, 1]; arguments as in a call."""
        return self._draw(on_device(images, self._device), generator, rows)

    def _is_image(self, view: Tensor) -> bool:
        return view.ndim >= 4 and view.shape[-3] == self._channels and view.shape[-1] == view.shape[-2]


def compile_views(
    pipeline: Any,
    *,
    size: int,
    channels: int,
    device: torch.device | str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    workers: int | None = None,
    per_sample: bool = False,
) -> Views:
    """Return the ``Views`` of a pipeline object.

    Args:
        pipeline: The result of ``Method.views``: takes a PIL image, returns a tensor or a list of tensors in [0, 1].
        size: Side of the images in pixels.
        channels: 1 or 3.
        device: Device on which the views are computed and returned.
        mean: Mean of each channel for normalisation; if None, views stay in [0, 1].
        std: Standard deviation of each channel for normalisation; if None, views stay in [0, 1].
        workers: Processes of the per-sample engine; None means one per core, 0 means this process.
        per_sample: Use the per-sample engine even if whole batches could be transformed.

    Raises:
        SslbenchError: The pipeline normalises, or cannot process images of this size.
    """
    statistics = None if mean is None or std is None else (tuple(mean), tuple(std))
    programs = _programs(pipeline, size, channels)
    if per_sample or isinstance(programs, str):
        reason = programs if isinstance(programs, str) else "requested"
        sampler = PerSampleViews(pipeline, size=size, channels=channels, workers=workers)
        return Views(sampler, sampler.count, reason, statistics, channels, torch.device(device), sampler.close)
    batched = _Batched(programs)
    return Views(batched, batched.count, None, statistics, channels, torch.device(device), _nothing_to_close)


def why_not_batched(pipeline: Any, *, size: int, channels: int) -> str | None:
    """Return why a pipeline cannot transform whole batches, in one line, or None if it can."""
    programs = _programs(pipeline, size, channels)
    return programs if isinstance(programs, str) else None


def _programs(pipeline: Any, size: int, channels: int) -> list[Program] | str:
    """Return the program of every view, or why the pipeline has no batched form."""
    try:
        programs = programs_of(pipeline)
        # A dry run finds steps that do not fit the size.
        example = torch.zeros(1, channels, size, size)
        for program in programs:
            program(example.clone(), torch.zeros(1, program.uniforms))
    except (UnknownStepError, ValueError) as error:
        return str(error)
    return programs


def _nothing_to_close() -> None:
    """Do nothing: the batched engine has no workers."""


class _Batched:
    """Computes all views of a batch; views with equal programs run as one batch.

    Attributes:
        count: Number of tensors that a call returns: the views, then the grids of the views that have one.
    """

    def __init__(self, programs: list[Program]) -> None:
        self.count = len(programs) + sum(program.grid is not None for program in programs)
        self._positions: dict[Program, list[int]] = {}
        for position, program in enumerate(programs):
            self._positions.setdefault(program, []).append(position)

    def __call__(self, images: Images, generator: torch.Generator, rows: Rows | None = None) -> list[Tensor]:
        rows = rows or Rows(0, len(images), len(images))
        views: dict[int, Tensor] = {}
        grids: dict[int, Tensor] = {}
        for program, positions in self._positions.items():
            numbers = len(positions), rows.of, program.uniforms
            uniforms = torch.rand(*numbers, generator=generator, device=images.device)[:, rows.part].flatten(0, 1)
            for found, results in zip(
                (views, grids), _run(program, images.repeat(len(positions), 1, 1, 1), uniforms), strict=False
            ):
                found |= zip(positions, results.chunk(len(positions)), strict=True)
        return [found[position] for found in (views, grids) for position in sorted(found)]


def _run(program: Program, images: Images, uniforms: Float[Tensor, "batch numbers"]) -> tuple[Tensor, ...]:
    if images.device.type != "cpu":
        return program(images.float().div_(255), uniforms)
    rows = max(1, _CHUNK_PIXELS // images[0].numel())
    parts = [
        program(part.float().div_(255), numbers)
        for part, numbers in zip(torch.split(images, rows), torch.split(uniforms, rows), strict=True)
    ]
    return parts[0] if len(parts) == 1 else tuple(torch.cat(results) for results in zip(*parts, strict=True))
