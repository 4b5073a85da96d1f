"""Translates a lightly or torchvision pipeline object into one batched program per view."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from lightly.transforms.gaussian_blur import GaussianBlur as LightlyBlur
from lightly.transforms.image_grid_transform import ImageGridTransform
from lightly.transforms.jigsaw import Jigsaw as LightlyJigsaw
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.random_crop_and_flip_with_grid import RandomResizedCropAndFlip
from lightly.transforms.rotation import RandomRotate
from lightly.transforms.solarize import RandomSolarization
from lightly.transforms.torchvision_v2_compatibility import ToTensor as LightlyToTensor
from torchvision import transforms as v1
from torchvision.transforms import v2

from bench.errors import SslbenchError
from bench.views.blur import GaussianBlur
from bench.views.colour import ColourJitter, Grey, OneChannel, Solarise
from bench.views.crop import CentreCrop, PaddedCrop, RandomResizedCrop, Resize
from bench.views.jigsaw import Jigsaw
from bench.views.orientation import Flip, Rotate
from bench.views.program import Program
from bench.views.resample import Kernel
from bench.views.step import RandomApply, Step


class UnknownStepError(Exception):
    """A step has no batched form, so only the per-sample engine can run it; the message names it."""


def programs_of(pipeline: Any) -> list[Program]:
    """Return the program of every view.

    Args:
        pipeline: A lightly ``MultiViewTransform`` of any method, a lightly view transform, a ``Compose``, or one step.

    Raises:
        UnknownStepError: A step has no batched form.
        SslbenchError: The pipeline normalises, which is left to the harness.
    """
    if isinstance(pipeline, ImageGridTransform) and type(pipeline).__call__ is ImageGridTransform.__call__:
        return [_with_grid(crop, rest) for crop, rest in pipeline.transforms]
    transforms = [pipeline]
    if isinstance(pipeline, MultiViewTransform) and type(pipeline).__call__ is MultiViewTransform.__call__:
        transforms = list(pipeline.transforms)
    return [Program(_merge_flips(steps_of(transform))) for transform in transforms]


def _with_grid(crop: Any, rest: Any) -> Program:
    """Return the program of a VICRegL view: a crop that also returns its grid of positions, then the remaining steps."""
    _require(type(crop) is RandomResizedCropAndFlip, crop)
    (first,) = _random_resized_crop(crop.resized_crop)
    assert isinstance(first, RandomResizedCrop)
    cropped = replace(first, horizontal_flip=float(crop.hf_prob), vertical_flip=float(crop.vf_prob))
    return Program((cropped, *steps_of(rest)), int(crop.grid_size))


def steps_of(transform: Any) -> list[Step]:
    """Return the steps of one transform; raises the errors of ``programs_of``."""
    if isinstance(transform, v1.Compose | v2.Compose):
        return _steps_of_all(transform.transforms)
    if type(transform) in _READERS:
        return _READERS[type(transform)](transform)
    # lightly's view transforms only wrap a pipeline.
    if type(transform).__module__.startswith("lightly.transforms.") and set(vars(transform)) == {"transform"}:
        return steps_of(transform.transform)
    raise UnknownStepError(f"{type(transform).__name__} has no batched form")


def _steps_of_all(transforms: Any) -> list[Step]:
    steps: list[Step] = []
    unknown: UnknownStepError | None = None
    for transform in transforms:
        try:
            steps += steps_of(transform)
        except UnknownStepError as error:
            unknown = unknown or error
    if unknown:
        raise unknown
    return steps


def _merge_flips(steps: list[Step]) -> tuple[Step, ...]:
    """Merge flips into the random crop right before them, which does them at no cost."""
    merged: list[Step] = []
    for step in steps:
        last = merged[-1] if merged else None
        if isinstance(last, RandomResizedCrop) and isinstance(step, Flip):
            merged[-1] = last.with_flip(step.dimension, step.probability)
        else:
            merged.append(step)
    return tuple(merged)


def _kernel(step: Any) -> Kernel:
    name = str(getattr(step.interpolation, "value", step.interpolation))
    if name == "bilinear":
        return "bilinear"
    if name == "bicubic":
        return "bicubic"
    raise UnknownStepError(f"{type(step).__name__} with {name} interpolation has no batched form")


def _pair(size: Any) -> tuple[int, int]:
    sizes = [size] if isinstance(size, int) else list(size)
    return int(sizes[0]), int(sizes[-1])


def _range(value: Any) -> tuple[float, float] | None:
    return None if value is None else (float(value[0]), float(value[1]))


def _require(supported: bool, step: Any) -> None:
    if not supported:
        raise UnknownStepError(f"{type(step).__name__} with these options has no batched form")


def _random_resized_crop(step: Any) -> list[Step]:
    scale, ratio = (float(step.scale[0]), float(step.scale[1])), (float(step.ratio[0]), float(step.ratio[1]))
    return [RandomResizedCrop(_pair(step.size), scale, ratio, _kernel(step))]


def _resize(step: Any) -> list[Step]:
    _require(step.size is not None and step.max_size is None, step)
    sizes = [step.size] if isinstance(step.size, int) else list(step.size)
    return [Resize(sizes[0] if len(sizes) == 1 else _pair(sizes), _kernel(step))]


def _random_crop(step: Any) -> list[Step]:
    _require(not step.pad_if_needed and step.fill == 0 and step.padding_mode == "constant", step)
    padding = step.padding or 0
    _require(isinstance(padding, int) or len(set(padding)) == 1, step)
    return [PaddedCrop(_pair(step.size), padding if isinstance(padding, int) else padding[0])]


def _rotation(step: Any) -> list[Step]:
    nearest = str(getattr(step.interpolation, "value", step.interpolation)) == "nearest"
    _require(nearest and not step.expand and step.center is None and step.fill == 0, step)
    return [Rotate((float(step.degrees[0]), float(step.degrees[1])))]


def _jitter(step: Any) -> list[Step]:
    ranges = [_range(value) for value in (step.brightness, step.contrast, step.saturation, step.hue)]
    return [ColourJitter(*ranges)] if any(ranges) else []


def _random_apply(step: Any) -> list[Step]:
    steps = tuple(_steps_of_all(step.transforms))
    _require(not any(isinstance(s, RandomResizedCrop | Resize | CentreCrop | PaddedCrop) for s in steps), step)
    if not steps or step.p == 0:
        return []
    return [RandomApply(steps, float(step.p))]


def _greyscale(step: Any) -> list[Step]:
    return [Grey(1.0)] if step.num_output_channels == 3 else [OneChannel()]


def _jigsaw(step: Any) -> list[Step]:
    return [Jigsaw(int(step.n_grid), int(step.grid_size), int(step.crop_size), tuple(steps_of(step.transform)))]


def _to_dtype(step: Any) -> list[Step]:
    _require(step.dtype == torch.float32 and step.scale, step)
    return []


def _no_step(step: Any) -> list[Step]:
    return []


def _normalise(step: Any) -> list[Step]:
    raise SslbenchError(
        "the views of a method must not normalise, because the harness does: build the pipeline with normalize=None"
    )


def _unless_never(step: Step, probability: float) -> list[Step]:
    return [step] if probability > 0 else []


_READERS: dict[type, Callable[[Any], list[Step]]] = {
    LightlyBlur: lambda s: _unless_never(GaussianBlur((float(s.sigmas[0]), float(s.sigmas[1])), s.prob), s.prob),
    LightlyJigsaw: _jigsaw,
    RandomRotate: lambda s: _unless_never(Rotate((float(s.angle), float(s.angle)), s.prob), s.prob),
    RandomSolarization: lambda s: _unless_never(Solarise(float(s.threshold), s.prob), s.prob),
    LightlyToTensor: _no_step,
    v2.ToImage: _no_step,
    v2.ToDtype: _to_dtype,
}
for _version in (v1, v2):
    _READERS |= {
        _version.ToTensor: _no_step,
        _version.PILToTensor: _no_step,
        _version.RandomResizedCrop: _random_resized_crop,
        _version.Resize: _resize,
        _version.CenterCrop: lambda s: [CentreCrop(_pair(s.size))],
        _version.RandomCrop: _random_crop,
        _version.RandomHorizontalFlip: lambda s: _unless_never(Flip(3, s.p), s.p),
        _version.RandomVerticalFlip: lambda s: _unless_never(Flip(2, s.p), s.p),
        _version.RandomRotation: _rotation,
        _version.RandomApply: _random_apply,
        _version.ColorJitter: _jitter,
        _version.RandomGrayscale: lambda s: _unless_never(Grey(s.p), s.p),
        _version.Grayscale: _greyscale,
        _version.RandomSolarize: lambda s: _unless_never(Solarise(float(s.threshold), s.p), s.p),
        _version.Normalize: _normalise,
    }
