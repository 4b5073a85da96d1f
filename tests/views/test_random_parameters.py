"""Random parameters of batched steps have the same distributions as those of torchvision and lightly."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare, ks_2samp
from torchvision.transforms import v2

from bench.views import compile_views
from bench.views.colour import ColourJitter, jitter
from bench.views.crop import random_boxes
from bench.views.evaluation import shift

COUNT = 20_000


def uniforms(numbers):
    return torch.rand(COUNT, numbers, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    "side, scale, ratio",
    [(96, (0.08, 1.0), (3 / 4, 4 / 3)), (28, (0.05, 0.14), (0.5, 2.0)), (8, (0.9, 1.0), (2.5, 3.0))],
)
def test_crop_boxes_have_the_distribution_of_torchvisions(side, scale, ratio):
    crop = v2.RandomResizedCrop(side, scale=scale, ratio=ratio)
    image = torch.empty(1, side, side)
    torch.manual_seed(11)
    theirs = [crop.make_params([image]) for _ in range(COUNT // 4)]
    ours = random_boxes(uniforms(22), side, side, scale, ratio)
    for name in ("top", "left", "height", "width"):
        values = getattr(ours, name)
        reference = np.array([box[name] for box in theirs])
        assert set(values.unique().tolist()) >= set(np.unique(reference)) if side < 30 else True
        assert ks_2samp(values.numpy(), reference).pvalue > 1e-3, name


def test_crop_boxes_fall_back_to_the_centre_if_no_try_fits():
    box = random_boxes(uniforms(22), 8, 8, (1.0, 1.0), (2.0, 3.0))
    crop = v2.RandomResizedCrop(8, scale=(1.0, 1.0), ratio=(2.0, 3.0)).make_params([torch.empty(1, 8, 8)])
    assert {name: float(getattr(box, name).unique()) for name in crop} == crop


def test_crop_boxes_stay_inside_the_image_for_the_largest_uniform_number():
    box = random_boxes(torch.full((4, 22), 1 - 2**-24), 8, 8, (0.08, 1.0), (3 / 4, 4 / 3))
    assert (box.top + box.height <= 8).all() and (box.left + box.width <= 8).all()


def test_all_orders_of_the_jitter_are_equally_likely():
    step = ColourJitter((0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2))
    order, hue_position, factors, hue = step.parameters(uniforms(step.uniforms))
    codes = order[:, 0] * 9 + order[:, 1] * 3 + order[:, 2]
    table = torch.stack([torch.bincount(codes[hue_position == p], minlength=27) for p in range(4)]).numpy()
    table = table[:, table.sum(0) > 0]
    assert table.shape == (4, 6)
    assert chisquare(table.ravel()).pvalue > 1e-3
    for values, low, high in [*((f, 0.2, 1.8) for f in factors.unbind(1)), (hue, -0.2, 0.2)]:
        assert ks_2samp(values.numpy(), np.linspace(low, high, COUNT)).pvalue > 1e-3


def test_grey_images_keep_the_order_of_brightness_and_contrast():
    step = ColourJitter((0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2))
    numbers = uniforms(step.uniforms)[:500]
    order, _, factors, hue = step.parameters(numbers)
    assert step.parameters(numbers, grey=True)[0].equal(order[order != 2].view(-1, 2))
    images = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(step(images, numbers), jitter(images, order, None, factors, hue))


def test_steps_change_the_expected_share_of_the_images(photographs):
    images = photographs[:1].repeat(2000, 1, 1, 1)[:, :, :4, :4].contiguous()
    for step, share in [
        (v2.RandomHorizontalFlip(0.3), 0.3),
        (v2.RandomGrayscale(0.2), 0.2),
        (v2.RandomApply([v2.RandomApply([v2.Grayscale(3)], 0.5)], 0.5), 0.25),
    ]:
        (view,) = compile_views(step, size=4, channels=3, device="cpu")(images, torch.Generator().manual_seed(1))
        changed = (view != images / 255).flatten(1).any(1).sum().item()
        assert chisquare([changed, 2000 - changed], [2000 * share, 2000 * (1 - share)]).pvalue > 1e-3, step


def test_a_flip_is_independent_of_the_next_step(photographs):
    images = photographs[:1].repeat(2000, 1, 1, 1)[:, :, :4, :4].contiguous()
    pipeline = v2.Compose([v2.RandomHorizontalFlip(0.5), v2.RandomGrayscale(0.5)])
    (view,) = compile_views(pipeline, size=4, channels=3, device="cpu")(images, torch.Generator().manual_seed(2))
    grey = (view.std(1) < 1e-6).flatten(1).all(1)
    luma = (0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]) / 255
    same = torch.where(grey, (view[:, 0] - luma).abs().amax((1, 2)) < 1e-4, (view == images / 255).flatten(1).all(1))
    table = np.array([[(grey & same).sum(), (grey & ~same).sum()], [(~grey & same).sum(), (~grey & ~same).sum()]])
    assert table.min() > 400
    assert chi2_contingency(table).pvalue > 1e-3


def test_all_shifts_up_to_an_eighth_are_equally_likely():
    images = torch.zeros(COUNT, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 14, 14] = 255
    moved = shift(images, torch.Generator().manual_seed(0), mirror=False)
    rows, columns = (moved.flatten(1).argmax(1) // 28).numpy(), (moved.flatten(1).argmax(1) % 28).numpy()
    counts = np.histogram2d(rows, columns, bins=[np.arange(11, 19), np.arange(11, 19)])[0]
    assert counts.sum() == COUNT
    assert chisquare(counts.ravel()).pvalue > 1e-3
