"""The per-sample engine: reproducible for any number of workers, for any outputs of a pipeline."""

import random

import numpy as np
import pytest
import torch
from lightly.transforms.pirl_transform import PIRLTransform
from lightly.transforms.simclr_transform import SimCLRTransform
from lightly.transforms.vicregl_transform import VICRegLTransform
from torchvision.transforms import v2

from bench.errors import SslbenchError
from bench.seeds import seed_everything
from bench.views import compile_views
from bench.views.per_sample import PerSampleViews


def draw(pipeline, images, workers, seed=0):
    sampler = PerSampleViews(pipeline, size=images.shape[-1], channels=images.shape[1], workers=workers)
    try:
        return sampler(images, torch.Generator().manual_seed(seed))
    finally:
        sampler.close()


@pytest.mark.slow
def test_views_do_not_depend_on_the_number_of_workers(photographs):
    pipeline = SimCLRTransform(96, normalize=None)
    alone, one, two = (draw(pipeline, photographs, workers) for workers in (0, 1, 2))
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(alone, one, two, strict=True))
    assert not torch.equal(alone[0], draw(pipeline, photographs, 0, seed=1)[0])


def test_an_image_has_the_same_views_in_any_batch(photographs):
    pipeline = SimCLRTransform(96, normalize=None)
    assert torch.equal(draw(pipeline, photographs[:8], 0)[0][:3], draw(pipeline, photographs[:3], 0)[0])


def test_the_states_of_the_global_generators_are_restored(photographs):
    seed_everything(1)
    expected = random_numbers()
    seed_everything(1)
    draw(SimCLRTransform(96, normalize=None), photographs[:2], 0)
    assert random_numbers() == expected


def random_numbers():
    return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002


def test_grids_and_jigsaws_are_returned_in_lightlys_order(photographs):
    pipeline = VICRegLTransform(global_crop_size=96, local_crop_size=32, n_local_views=2, normalize=None)
    views = compile_views(
        pipeline, size=96, channels=3, device="cpu", mean=(0.5,) * 3, std=(0.5,) * 3, per_sample=True, workers=0
    )
    entries = views(photographs[:4], torch.Generator().manual_seed(0))
    assert len(entries) == views.count == 8
    assert [e.shape[-1] for e in entries] == [96, 96, 32, 32, 2, 2, 2, 2]
    assert entries[0].min() < -0.5
    assert entries[4].max() > 1, "a grid holds positions in pixels and is not normalised"
    pirl = PIRLTransform(96, normalize=None)
    jigsaw = compile_views(pirl, size=96, channels=3, device="cpu", per_sample=True, workers=0)
    whole, patches = jigsaw(photographs[:4], torch.Generator().manual_seed(0))
    assert whole.shape[:2] == (4, 3)
    assert patches.shape[:3] == (4, 9, 3)


def test_a_pipeline_that_fails_is_rejected_before_training():
    with pytest.raises(SslbenchError, match="cannot be drawn from images of 8x8x1"):
        compile_views(v2.Lambda(lambda image: 1 / 0), size=8, channels=1, device="cpu", workers=0)


def test_a_pipeline_that_cannot_be_pickled_is_rejected(digits):
    with pytest.raises(SslbenchError, match="cannot be sent to worker processes"):
        draw(v2.Compose([v2.ToImage(), v2.Lambda(lambda image: image)]), digits, 1)
