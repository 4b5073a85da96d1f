"""Views of the methods of redundancy and geometry: number, size, batched augmentation, and traits."""

import importlib
from typing import Any

import pytest
import torch

from bench.views import compile_views
from bench.views.colour import ColourJitter, Grey
from bench.views.crop import RandomResizedCrop
from bench.views.orientation import Flip
from bench.views.pipeline import programs_of
from bench.views.step import RandomApply
from methods.frossl import FroSSL
from methods.traits import Traits
from methods.vicregl import VICRegL

VIEWS = {
    "vicreg": 2,
    "tico": 2,
    "wmse": 2,
    "frossl": 2,
    "mmcr": 2,
    "hypersphere": 2,
    "lejepa": 4,
    "visreg": 4,
    "emp_ssl": 8,
}


def traits_of(size: int, channels: int, flip: bool) -> Traits:
    return Traits(channels, size, 10, (0.4,) * channels, (0.3,) * channels, flip, 1000, 1000)


def pipeline_of(name: str, traits: Traits) -> Any:
    module = importlib.import_module(f"methods.{name}")
    cls = next(
        v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__ and hasattr(v, "recipe")
    )
    return cls.views(cls.Settings(), traits)


def jitters(steps: Any) -> list[ColourJitter]:
    inside = [inner for step in steps if isinstance(step, RandomApply) for inner in step.steps]
    return [step for step in [*steps, *inside] if isinstance(step, ColourJitter)]


def mirrors(steps: Any) -> bool:
    return any(isinstance(step, Flip) or getattr(step, "horizontal_flip", 0.0) > 0 for step in steps)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (96, 3)])
def test_views_have_the_data_sets_size_and_run_on_whole_batches(name: str, size: int, channels: int) -> None:
    program = compile_views(
        pipeline_of(name, traits_of(size, channels, True)), size=size, channels=channels, device="cpu"
    )
    assert program.engine == "batched", program.reason
    views = program(
        torch.randint(0, 256, (3, channels, size, size), dtype=torch.uint8), torch.Generator().manual_seed(0)
    )
    assert [tuple(view.shape) for view in views] == [(3, channels, size, size)] * VIEWS[name]
    assert len({view.sum().item() for view in views}) == VIEWS[name]


@pytest.mark.parametrize("name", VIEWS)
def test_grey_images_have_no_colour_steps_and_digits_are_not_mirrored(name: str) -> None:
    for steps in (program.steps for program in programs_of(pipeline_of(name, traits_of(28, 1, False)))):
        assert not any(isinstance(step, Grey) for step in steps)
        assert all(jitter.saturation is None and jitter.hue is None for jitter in jitters(steps))
        assert not mirrors(steps)
    for steps in (program.steps for program in programs_of(pipeline_of(name, traits_of(28, 3, True)))):
        assert mirrors(steps) and all(jitter.saturation and jitter.hue for jitter in jitters(steps))


def test_frossl_crops_from_8_percent_of_the_area_and_not_at_all_if_the_whole_image_is_asked_for() -> None:
    traits = traits_of(32, 3, True)
    for steps in (program.steps for program in programs_of(FroSSL.views(FroSSL.Settings(), traits))):
        assert isinstance(steps[0], RandomResizedCrop) and steps[0].scale == (0.08, 1.0)
    for steps in (program.steps for program in programs_of(FroSSL.views(FroSSL.Settings(min_scale=1.0), traits))):
        assert not any(isinstance(step, RandomResizedCrop) for step in steps)


def test_vicregl_has_no_vertical_flip() -> None:
    pipeline: Any = VICRegL.views(VICRegL.Settings(), traits_of(32, 3, True))
    assert len(pipeline.transforms) == 2
    for crop, _ in pipeline.transforms:
        assert crop.vf_prob == 0.0 and crop.hf_prob == 0.5
        assert crop.resized_crop.scale == (0.2, 1.0)
