"""Whole pipelines: which ones are batched, reproducibility, and agreement with lightly's own views."""

import numpy as np
import pytest
import torch
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from lightly.transforms.dino_transform import DINOTransform
from lightly.transforms.gaussian_blur import GaussianBlur
from lightly.transforms.mae_transform import MAETransform
from lightly.transforms.simclr_transform import SimCLRTransform
from PIL import Image
from torchvision.transforms import v2

from bench.errors import SslbenchError
from bench.views import compile_views
from bench.views.pipeline import programs_of


def simclr(side, channels):
    colour = {} if channels == 3 else {"cj_sat": 0.0, "cj_hue": 0.0, "random_gray_scale": 0.0}
    return SimCLRTransform(side, normalize=None, gaussian_blur=0.5 if side > 32 else 0.0, **colour)


def byol(side, channels):
    colour = {} if channels == 3 else {"cj_sat": 0.0, "cj_hue": 0.0, "random_gray_scale": 0.0}
    return BYOLTransform(
        BYOLView1Transform(side, normalize=None, **colour), BYOLView2Transform(side, normalize=None, **colour)
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("build", [simclr, byol])
def test_simclr_and_byol_run_as_batches(images, build):
    _, channels, side, _ = images.shape
    views = compile_views(build(side, channels), size=side, channels=channels, device="cpu")
    assert (views.engine, views.reason, views.count) == ("batched", None, 2)
    first, second = views(images, generator())
    assert first.shape == second.shape == images.shape
    assert first.dtype == torch.float32
    assert not torch.equal(first, second)
    for view in (first, second):
        assert view.isfinite().all() and view.min() >= 0 and view.max() <= 1 + 1e-5


def test_views_depend_only_on_the_generators_state(photographs):
    views = compile_views(simclr(96, 3), size=96, channels=3, device="cpu")
    before = photographs.clone()
    assert all(
        torch.equal(a, b)
        for a, b in zip(views(photographs, generator(4)), views(photographs, generator(4)), strict=True)
    )
    assert not torch.equal(views(photographs, generator(4))[0], views(photographs, generator(5))[0])
    assert torch.equal(photographs, before)


@pytest.mark.parametrize("build", [simclr, byol])
def test_views_have_the_same_moments_as_lightlys_views(images, build):
    images = images[:64]
    _, channels, side, _ = images.shape
    pipeline = build(side, channels)
    pictures = [
        Image.fromarray(i[0].numpy()) if channels == 1 else Image.fromarray(i.permute(1, 2, 0).numpy()) for i in images
    ]
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    repeats = 6
    theirs = [pipeline(p) for _ in range(repeats) for p in pictures]
    ours = compile_views(pipeline, size=side, channels=channels, device="cpu")(
        images.repeat(repeats, 1, 1, 1), generator()
    )
    for index in range(2):
        reference, view = torch.stack([entry[index] for entry in theirs]), ours[index]
        for moment in (_brightness, _contrast, _colour, _roughness):
            a, b = moment(reference), moment(view)
            spread = (a.var() / len(a) + b.var() / len(b)).sqrt() + 1e-9
            # Pillow rounds down at each step, by up to one grey level.
            assert (a.mean() - b.mean()).abs() < 4 * spread + 1 / 255, moment.__name__


def _brightness(view):
    return view.mean((1, 2, 3))


def _contrast(view):
    return view.mean(1).flatten(1).std(1)


def _colour(view):
    return (view.amax(1) - view.amin(1)).mean((1, 2))


def _roughness(view):
    return (view[..., 1:] - view[..., :-1]).abs().mean((1, 2, 3))


def test_views_are_normalised_with_the_given_mean_and_std(photographs):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    views = compile_views(simclr(96, 3), size=96, channels=3, device="cpu", mean=mean, std=std)
    normal, pictures = views(photographs, generator())[0], views.unnormalised(photographs, generator())[0]
    expected = v2.functional.normalize(pictures, list(mean), list(std))
    torch.testing.assert_close(normal, expected)


def test_grey_views_get_as_many_channels_as_the_mean(digits):
    views = compile_views(simclr(8, 1), size=8, channels=1, device="cpu", mean=(0.4, 0.5, 0.6), std=(1.0, 1.0, 1.0))
    view = views(digits, generator())[0]
    assert view.shape == (len(digits), 3, 8, 8)
    torch.testing.assert_close(view[:, 0] - view[:, 2], torch.full_like(view[:, 0], 0.2))


def test_multi_crop_views_run_as_batches(photographs):
    pipeline = DINOTransform(global_crop_size=96, local_crop_size=32, n_local_views=4, normalize=None)
    views = compile_views(pipeline, size=96, channels=3, device="cpu")
    assert views.engine == "batched"
    assert [view.shape[-1] for view in views(photographs[:8], generator())] == [96, 96, 32, 32, 32, 32]


def test_single_view_pipelines_and_single_steps_run_as_batches(photographs):
    for pipeline in (
        MAETransform(96, normalize=None),
        v2.Compose([v2.Resize(96), v2.ToImage()]),
        v2.RandomCrop(96, padding=4),
    ):
        views = compile_views(pipeline, size=96, channels=3, device="cpu")
        assert (views.engine, views.count) == ("batched", 1)
    (view,) = compile_views(v2.ToImage(), size=96, channels=3, device="cpu")(photographs, generator())
    torch.testing.assert_close(view, photographs / 255)


def test_steps_can_follow_a_step_that_changes_every_image(photographs):
    pipeline = v2.Compose([v2.Grayscale(3), GaussianBlur(prob=0.5), v2.RandomSolarize(128, 0.5)])
    (view,) = compile_views(pipeline, size=96, channels=3, device="cpu")(photographs, generator())
    torch.testing.assert_close(view[:, 0], view[:, 2])


def test_saturation_hue_and_greyscale_do_not_change_grey_images(digits):
    pipeline = v2.Compose([v2.ColorJitter(0, 0, 0.8, 0.2), v2.RandomGrayscale(1.0)])
    (view,) = compile_views(pipeline, size=8, channels=1, device="cpu")(digits, generator())
    torch.testing.assert_close(view, digits / 255)


@pytest.mark.parametrize(
    "step",
    [
        v2.RandomPosterize(4),
        v2.RandomRotation(10, expand=True),
        v2.CenterCrop(200),
        v2.RandomResizedCrop(96, interpolation=0),
    ],
)
def test_a_step_without_a_batched_form_falls_back_to_the_per_sample_engine_and_is_named(step):
    views = compile_views(v2.Compose([step, v2.ToImage()]), size=96, channels=3, device="cpu", workers=0)
    assert views.engine == "per-sample"
    assert "\n" not in views.reason
    assert type(step).__name__.lower().replace("center", "centre") in views.reason.lower().replace(" ", "").replace(
        "center", "centre"
    )


@pytest.mark.parametrize("before", [[], [v2.RandomPosterize(4)]])
def test_a_pipeline_that_normalises_is_rejected(before):
    pipeline = v2.Compose([*before, v2.ToImage(), v2.Normalize([0.5] * 3, [0.5] * 3)])
    with pytest.raises(SslbenchError, match="must not normalise"):
        compile_views(pipeline, size=96, channels=3, device="cpu")


@pytest.mark.parametrize("build", [simclr, byol])
@pytest.mark.parametrize("side, channels", [(28, 1), (96, 3)])
def test_no_step_on_a_gpu_makes_the_host_wait(build, side, channels):
    # Meta tensors have no data: a step that reads a value from the device fails on them.
    for program in programs_of(build(side, channels)):
        uniforms = torch.empty(5, program.uniforms, device="meta")
        (view,) = program(torch.empty(5, channels, side, side, device="meta"), uniforms)
        assert view.shape == (5, channels, side, side)
