"""The distinct view pipelines of all methods, also as lightly runs them and translated to Kornia."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import kornia.augmentation as K
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms.functional import pil_to_tensor

from bench.planning.settings import settings_of
from bench.registry.methods import load_method, method_names
from bench.views.blur import GaussianBlur
from bench.views.colour import ColourJitter, Grey, Solarise
from bench.views.crop import CentreCrop, PaddedCrop, RandomResizedCrop, Resize
from bench.views.orientation import Flip, Rotate
from bench.views.pipeline import UnknownStepError, programs_of
from bench.views.program import Program
from bench.views.step import RandomApply, Step
from methods.traits import Traits

BEST_KNOWN = ("simclr", "byol", "supervised")
WARMUP_ROUNDS = 4
"""Rounds of one batch per worker, after which the prefetched batches (two per worker) are used up."""


def traits_of(size: int, channels: int) -> Traits:
    """Return the traits of a data set with ten classes whose images may be flipped."""
    return Traits(channels, size, 10, (0.5,) * channels, (0.25,) * channels, True, 50_000, 50_000)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline and the methods that use it.

    Attributes:
        methods: Names of the methods.
        transform: The pipeline object.
        programs: The program of each view, or None if there is no batched form.
    """

    methods: tuple[str, ...]
    transform: Any
    programs: tuple[Program, ...] | None


@cache
def catalogue(size: int, channels: int) -> tuple[Pipeline, ...]:
    """Return the pipelines of all methods that are trained, equal ones only once."""
    found: dict[Any, Pipeline] = {}
    for name in method_names():
        method = load_method(name)
        if not method.needs.training:
            continue
        transform = method.views(settings_of(method, {}), traits_of(size, channels))
        try:
            programs = tuple(programs_of(transform))
        except UnknownStepError:
            programs = None
        key = programs or name
        methods = (*(found[key].methods if key in found else ()), name)
        found[key] = Pipeline(methods, transform, programs)
    return tuple(found.values())


def pipelines_by_name(size: int, channels: int) -> dict[str, Pipeline]:
    """Return the pipelines, each under the name of the best-known method that uses it."""
    return {
        next((name for name in BEST_KNOWN if name in pipeline.methods), pipeline.methods[0]): pipeline
        for pipeline in catalogue(size, channels)
    }


class PilImages(Dataset[list[Any]]):
    """Images one by one, as in lightly's examples: each PIL image is passed through the pipeline."""

    def __init__(self, images: torch.Tensor, transform: Any) -> None:
        arrays = images.numpy()
        self.images = [
            Image.fromarray(np.ascontiguousarray(i[0] if len(i) == 1 else i.transpose(1, 2, 0))) for i in arrays
        ]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[Any]:
        views = self.transform(self.images[index])
        return [
            pil_to_tensor(v) if isinstance(v, Image.Image) else v
            for v in (views if isinstance(views, list | tuple) else [views])
        ]


class _Endless(Sampler[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        while True:
            yield from torch.randperm(self.count).tolist()


def one_by_one(images: torch.Tensor, transform: Any, workers: int) -> Iterator[Any]:
    """Return the batches of an endless DataLoader; a batch has as many images as ``images``."""
    data = PilImages(images, transform)
    loader = DataLoader(data, batch_size=len(images), sampler=_Endless(len(images)), num_workers=workers)
    return iter(loader)


class NotInKorniaError(Exception):
    """Kornia has no counterpart of a step."""


class KorniaViews:
    """The same normalised views by Kornia: the same steps, ranges and probabilities, and equal views in one batch."""

    def __init__(self, programs: tuple[Program, ...], traits: Traits, device: torch.device) -> None:
        self.counts = Counter(program.steps for program in programs)
        normalise = K.Normalize(torch.tensor(traits.mean), torch.tensor(traits.std))
        self.programs = {steps: torch.nn.Sequential(*_in_kornia(steps), normalise).to(device) for steps in self.counts}

    def __call__(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the views of uint8 images."""
        floats = images.float() / 255
        return [self.programs[steps](floats.repeat(count, 1, 1, 1)) for steps, count in self.counts.items()]


def _in_kornia(steps: tuple[Step, ...], probability: float = 1.0) -> list[torch.nn.Module]:
    found: list[torch.nn.Module] = []
    for step in steps:
        match step:
            case RandomApply():
                found += _in_kornia(step.steps, probability * step.probability)
            case RandomResizedCrop():
                found.append(K.RandomResizedCrop(step.size, step.scale, step.ratio, resample=step.kernel))
                if step.horizontal_flip:
                    found.append(K.RandomHorizontalFlip(p=step.horizontal_flip))
                if step.vertical_flip:
                    found.append(K.RandomVerticalFlip(p=step.vertical_flip))
            case Flip(dimension, chance):
                found.append(
                    (K.RandomHorizontalFlip if dimension == 3 else K.RandomVerticalFlip)(p=chance * probability)
                )
            case ColourJitter():
                none = (1.0, 1.0)
                ranges = (step.brightness or none, step.contrast or none, step.saturation or none)
                found.append(K.ColorJitter(*ranges, step.hue or (0.0, 0.0), p=probability))
            case Grey(chance):
                found.append(K.RandomGrayscale(p=chance * probability))
            case GaussianBlur():
                # The kernel covers three of the largest standard deviations on each side.
                side = 2 * int(3 * step.sigmas[1]) + 1
                found.append(
                    K.RandomGaussianBlur(
                        (side, side), step.sigmas, border_type="replicate", p=step.probability * probability
                    )
                )
            case Solarise():
                threshold = step.threshold / 255
                found.append(K.RandomSolarize((threshold, threshold), 0.0, p=step.probability * probability))
            case Rotate():
                found.append(K.RandomRotation(list(step.degrees), resample="nearest", p=step.probability * probability))
            case PaddedCrop():
                found.append(K.RandomCrop(step.size, padding=step.padding))
            case CentreCrop():
                found.append(K.CenterCrop(step.size))
            case Resize(tuple() as size):
                found.append(K.Resize(size))
            case Resize():
                found.append(K.SmallestMaxSize(step.size))
            case _:
                raise NotInKorniaError(f"Kornia has no counterpart of {type(step).__name__}")
    return found
