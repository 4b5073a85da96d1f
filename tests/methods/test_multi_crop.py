"""Multi-crop: views have the right order, size and augmentations, and respect the data set's traits."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

from bench.backbones import build
from bench.views import compile_views
from methods.dino import DINO, DINOSettings
from methods.dinov2 import DINOv2
from methods.fastsiam import FastSiam
from methods.ibot import IBOT
from methods.msn import MSN
from methods.parts.multi_crop import local_size, multi_crop
from methods.simsiam import SimSiam
from methods.traits import Traits

JITTER = {"cj_strength": 1.0, "cj_bright": 0.8, "cj_contrast": 0.8, "cj_sat": 0.8, "cj_hue": 0.2}


def traits_of(size: int, channels: int = 3, flip: bool = True) -> Traits:
    return Traits(channels, size, 10, (0.4,) * channels, (0.3,) * channels, flip, 1000, 1000)


def image_of(size: int, channels: int) -> Image.Image:
    if channels == 1:
        return Image.fromarray((load_digits().images[0] * 15).astype(np.uint8)).resize((size, size))
    return Image.fromarray(load_sample_image("flower.jpg")).resize((size, size))


def crops(traits: Traits, blur: tuple[float, float, float] = (0.5, 0.5, 0.5), **jitter: float) -> Any:
    return multi_crop(
        traits, global_scale=(0.3, 1.0), local_scale=(0.05, 0.3), local_views=3, blur=blur, solarisation=0.2, **jitter
    )


def steps_of(pipeline: Any, kind: str) -> list[Any]:
    """Return the step of one kind in each view; for ``RandomApply``, the step inside it."""
    found = [step for view in pipeline.transforms for step in view.transform.transforms if type(step).__name__ == kind]
    return [step.transforms[0] for step in found] if kind == "RandomApply" else found


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (96, 3)])
@pytest.mark.parametrize(("cls", "count"), [(IBOT, 4), (DINOv2, 4), (MSN, 4), (DINO, 2), (SimSiam, 2), (FastSiam, 4)])
def test_global_crops_come_first_and_local_crops_fit_the_transformers_patches(
    cls: Any, count: int, size: int, channels: int
) -> None:
    traits = traits_of(size, channels, False)
    views = cls.views(cls.Settings(), traits)(image_of(size, channels))
    local = 0 if cls in (DINO, SimSiam, FastSiam) else 2
    assert [v.shape[-1] for v in views] == [size] * (count - local) + [local_size(traits)] * local
    backbone = build("vit_nano", traits)
    for view in views:
        assert view.shape == (channels, view.shape[-1], view.shape[-1]) and view.min() >= 0 and view.max() <= 1
        assert torch.isfinite(backbone(view[None])).all()


@pytest.mark.parametrize("size", [8, 28, 32, 64, 96, 128, 224])
def test_a_local_crop_is_about_half_as_large_as_the_image(size: int) -> None:
    assert 0.4 <= local_size(traits_of(size)) / size <= 0.5


def test_dino_has_local_crops_on_a_transformer_by_default() -> None:
    def local_crops(backbone: str, local_views: int | None) -> int:
        traits = traits_of(8, 1, False)
        method = DINO(build(backbone, traits), DINOSettings(local_views=local_views), traits)
        return len(DINO.views(method.settings, traits)(image_of(8, 1))) - 2

    assert [local_crops("resnet9_slim", None), local_crops("vit_nano", None)] == [0, 2]
    assert [local_crops("resnet9_slim", 3), local_crops("vit_nano", 0)] == [3, 0]


def test_every_view_has_the_requested_colour_jitter() -> None:
    jitters = steps_of(crops(traits_of(32), **JITTER), "RandomApply")
    assert len(jitters) == 5
    for jitter in jitters:
        assert tuple(jitter.brightness) == pytest.approx((0.2, 1.8))
        assert tuple(jitter.hue) == pytest.approx((-0.2, 0.2))


def test_global_and_local_crops_have_their_own_scale_ranges() -> None:
    scales = [tuple(step.scale) for step in steps_of(crops(traits_of(32)), "RandomResizedCrop")]
    assert scales == [(0.3, 1.0)] * 2 + [(0.05, 0.3)] * 3


def test_only_the_second_global_crop_is_solarised() -> None:
    assert [step.prob for step in steps_of(crops(traits_of(32)), "RandomSolarization")] == [0.0, 0.2, 0.0, 0.0, 0.0]


def test_no_flip_colour_or_blur_if_the_traits_forbid_them() -> None:
    digits = crops(traits_of(28, 1, False), **JITTER)
    assert {step.p for step in steps_of(digits, "RandomHorizontalFlip")} == {0.0}
    assert {step.p for step in steps_of(digits, "RandomGrayscale")} == {0.0}
    assert {step.prob for step in steps_of(digits, "GaussianBlur")} == {0.0}
    assert {(j.hue, j.saturation) for j in steps_of(digits, "RandomApply")} == {(None, None)}
    photographs = crops(traits_of(96), blur=(1.0, 0.1, 0.5))
    assert [step.prob for step in steps_of(photographs, "GaussianBlur")] == [1.0, 0.1, 0.5, 0.5, 0.5]
    assert {step.p for step in steps_of(photographs, "RandomHorizontalFlip")} == {0.5}


@pytest.mark.parametrize("cls", [SimSiam, FastSiam, DINO, MSN, IBOT])
def test_views_run_on_whole_batches(cls: Any) -> None:
    traits = traits_of(32)
    views = compile_views(cls.views(cls.Settings(), traits), size=32, channels=3, device="cpu")
    assert views.engine == "batched"
