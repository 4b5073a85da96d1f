"""A pipeline object -> views of a whole batch on its device, or one by one in workers where a step is unknown."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bench.views.per_sample import PerSampleViews
from bench.views.pipeline import UnknownStepError, views_of
from bench.views.prepare import normalise
from bench.views.program import Program

_CHUNK_PIXELS = 256 * 3 * 32 * 32
"""On a CPU a program runs on so many numbers at a time: few enough for its caches, enough for its vector units."""

Images = UInt8[Tensor, "batch channels height width"]


class Views:
    """What a pipeline does to a batch.

    Attributes:
        count: Tensors that a call returns: views, and wide_table where lightly's pipeline gives some.
        engine: Whether whole batches are transformed, or single images in workers.
        reason: Why single images, in one line; None for batches.
        close: Stops the workers, where there are any.
    """

    def __init__(
        self,
        draw: Callable[[Images, torch.Generator], list[Tensor]],
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

    def __call__(self, images: Images, generator: torch.Generator) -> list[Tensor]:
        """Return the views in the pipeline's order, normalised where ``compile_views`` was told how.

        Args:
            images: uint8 B×C×H×W.
            generator: On the device of the views; the same state gives the same views.
        """
        views = self.pictures(images, generator)
        if self._statistics is None:
            return views
        mean, std = self._statistics
        return [normalise(view, mean, std) if self._is_image(view) else view for view in views]

    def pictures(self, images: Images, generator: torch.Generator) -> list[Tensor]:
        """Return the views as float32 in [0, 1], to look at."""
        return self._draw(images.to(self._device, non_blocking=True), generator)

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
    """Return the program of a pipeline object.

    Args:
        pipeline: What ``Method.views`` returns: takes a PIL image, returns a tensor or a list of them, in [0, 1].
        size: Side of the images.
        channels: 1 or 3.
        device: Where the views are computed and returned.
        mean: Of the encoder's input; without, views stay in [0, 1].
        std: Likewise.
        workers: Processes of the per-sample engine: by default one a core, 0 runs it in this process.
        per_sample: Take that engine also where whole batches could be transformed.

    Raises:
        SslbenchError: The pipeline normalises, or cannot be run on an image of this size.
    """
    statistics = None if mean is None or std is None else (tuple(mean), tuple(std))
    programs = _programs(pipeline, size, channels)
    if per_sample or isinstance(programs, str):
        reason = programs if isinstance(programs, str) else "asked for"
        sampler = PerSampleViews(pipeline, size=size, channels=channels, workers=workers)
        return Views(sampler, sampler.count, reason, statistics, channels, torch.device(device), sampler.close)
    batched = _Batched(programs)
    return Views(batched, batched.count, None, statistics, channels, torch.device(device), _nothing_to_close)


def why_not_batched(pipeline: Any, *, size: int, channels: int) -> str | None:
    """Return why a pipeline cannot run on whole batches, in one line; None where it can."""
    programs = _programs(pipeline, size, channels)
    return programs if isinstance(programs, str) else None


def _programs(pipeline: Any, size: int, channels: int) -> list[Program] | str:
    """Return the program of every view, or why there is none."""
    try:
        programs = views_of(pipeline)
        # A dry run finds steps that do not fit the size.
        example = torch.zeros(1, channels, size, size)
        for program in programs:
            program(example.clone(), torch.zeros(1, program.uniforms))
    except (UnknownStepError, ValueError) as error:
        return str(error)
    return programs


def _nothing_to_close() -> None:
    """Do nothing: a batched program has no workers."""


class _Batched:
    """All views of a batch; views with equal programs run as one batch.

    Attributes:
        count: Tensors that a call returns: the views, then the wide_table of those that have one.
    """

    def __init__(self, programs: list[Program]) -> None:
        self.count = len(programs) + sum(program.grid is not None for program in programs)
        self._places: dict[Program, list[int]] = {}
        for place, program in enumerate(programs):
            self._places.setdefault(program, []).append(place)

    def __call__(self, images: Images, generator: torch.Generator) -> list[Tensor]:
        views: dict[int, Tensor] = {}
        wide_table: dict[int, Tensor] = {}
        for program, places in self._places.items():
            numbers = len(places) * len(images), program.uniforms
            uniforms = torch.rand(*numbers, generator=generator, device=images.device)
            for found, results in zip(
                (views, wide_table), _run(program, images.repeat(len(places), 1, 1, 1), uniforms), strict=False
            ):
                found |= zip(places, results.chunk(len(places)), strict=True)
        return [found[place] for found in (views, wide_table) for place in sorted(found)]


def _run(program: Program, images: Images, uniforms: Float[Tensor, "batch numbers"]) -> tuple[Tensor, ...]:
    if images.device.type != "cpu":
        return program(images.float().div_(255), uniforms)
    rows = max(1, _CHUNK_PIXELS // images[0].numel())
    parts = [
        program(part.float().div_(255), numbers)
        for part, numbers in zip(torch.split(images, rows), torch.split(uniforms, rows), strict=True)
    ]
    return parts[0] if len(parts) == 1 else tuple(torch.cat(results) for results in zip(*parts, strict=True))
