"""Jigsaws and wide_table of places in batches, against lightly's own, image by image."""

import numpy as np
import pytest
import torch
from lightly.transforms.jigsaw import Jigsaw as LightlyJigsaw
from lightly.transforms.pirl_transform import PIRLTransform
from lightly.transforms.random_crop_and_flip_with_grid import Location, RandomResizedCropAndFlip
from lightly.transforms.vicregl_transform import VICRegLTransform
from PIL import Image
from torchvision.transforms import v2

from bench.errors import SslbenchError
from bench.views import compile_views
from bench.views.crop import RandomResizedCrop
from bench.views.jigsaw import Jigsaw
from bench.views.pipeline import UnknownStepError, views_of


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, side):
    """Images whose every pixel has a value of its own."""
    return torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side).repeat(count, 1, 1, 1)


@pytest.mark.parametrize(("size", "cell", "side"), [(9, 9, 3), (7, 9, 3), (4, 4, 2)])
def test_tiles_are_lightlys_in_another_order(size, cell, side):
    """With the same place in every cell the tiles of a batch are, as a set, those of lightly's jigsaw."""
    images = numbered(50, cell * side)
    theirs = LightlyJigsaw(side, cell * side, size, v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))
    possible = set()
    for row in range(cell - size + 1):
        for column in range(cell - size + 1):
            for place in range(side * side):
                top, left = int(theirs.xx[place]) + row, int(theirs.yy[place]) + column
                tile = images[0, 0, top : top + size, left : left + size]
                possible.add((place, tile.numpy().tobytes()))
    step = Jigsaw(side, cell, size, ())
    tiles = step(images, torch.rand(50, step.uniforms, generator=generator()))
    assert tiles.shape == (50, side * side, 1, size, size)
    by_tile = {pixels: place for place, pixels in possible}
    orders = set()
    for image in tiles:
        places = tuple(by_tile[tile.numpy().tobytes()] for tile in image[:, 0])
        assert sorted(places) == list(range(side * side))
        orders.add(places)
    assert len(orders) > 10


def test_every_place_in_a_cell_and_every_order_is_as_likely():
    step = Jigsaw(2, 5, 3, ())
    tiles = step(numbered(20_000, 10), torch.rand(20_000, step.uniforms, generator=generator()))
    first = tiles[:, 0, 0, 0, 0].long()
    _, counts = first.unique(return_counts=True)
    assert len(counts) == 4 * 9
    expected = 20_000 / 36
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 66.6, "the 99.9 % point of chi square with 35 degrees of freedom"


def test_each_tile_is_changed_by_itself():
    tile = v2.Compose([v2.ColorJitter(0.5), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    views = compile_views(LightlyJigsaw(3, 30, 10, tile), size=30, channels=3, device="cpu")
    assert views.engine == "batched", views.reason
    (tiles,) = views(torch.full((40, 3, 30, 30), 100, dtype=torch.uint8), generator())
    levels = tiles.mean(dim=(2, 3, 4)) * 255
    assert (levels.std(dim=1) > 1).all()
    assert levels.min() >= 49 and levels.max() <= 151


@pytest.mark.parametrize("flips", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("cells", [2, 3, 7])
def test_grids_are_lightlys(cells, flips):
    step = RandomResizedCrop((16, 16), (0.2, 1.0), horizontal_flip=flips[0], vertical_flip=flips[1])
    uniforms = torch.rand(8, step.uniforms, generator=generator())
    box, _, _ = step.chosen(uniforms, 40, 30)
    theirs = RandomResizedCropAndFlip(grid_size=cells)
    for image, grid in enumerate(step.places(uniforms, 40, 30, cells)):
        top, left, height, width = (float(side[image]) for side in box)
        location = Location(top, left, height, width, 40, 30, bool(flips[0]), bool(flips[1]))
        torch.testing.assert_close(grid, theirs.location_to_NxN_grid(location))


def test_a_grid_tells_where_its_view_was_cut_out():
    """A ramp's own values are its columns: the view's mean is the mean of the grid's columns."""
    ramp = (torch.arange(96, dtype=torch.uint8) * 2).expand(64, 1, 96, 96).contiguous()
    crop = VICRegLTransform(96, 32, 2, 1, global_grid_size=2, normalize=None, cj_prob=0, random_gray_scale=0)
    for one, then in crop.transforms:
        then.transform.transforms = then.transform.transforms[-1:]  # no colour
        one.hf_prob = 0.5
    views = compile_views(crop, size=96, channels=1, device="cpu")
    assert (views.engine, views.count) == ("batched", 6), views.reason
    *pictures, first, second, small = views(ramp, generator())
    assert [tuple(p.shape[1:]) for p in pictures] == [(1, 96, 96), (1, 96, 96), (1, 32, 32)]
    assert first.shape == second.shape == (64, 2, 2, 2) and small.shape == (64, 3, 3, 2)
    # lightly's two cells: a quarter after the start and after the end of the crop.
    middle = first[:, 0, :, 0].mean(dim=1) - first[:, 0, :, 0].diff(dim=1).abs()[:, 0] / 4
    torch.testing.assert_close(pictures[0].mean(dim=(1, 2, 3)) * 255 / 2 + 0.5, middle, atol=1.0, rtol=0)


@pytest.mark.parametrize("pipeline", [PIRLTransform(96, normalize=None), VICRegLTransform(96, 32, normalize=None)])
def test_views_have_lightlys_moments(pipeline, photographs):
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in photographs[:32]]
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    theirs = [pipeline(picture) for _ in range(6) for picture in pictures]
    ours = compile_views(pipeline, size=96, channels=3, device="cpu")(photographs[:32].repeat(6, 1, 1, 1), generator())
    for place, view in enumerate(ours):
        reference = torch.stack([entry[place] for entry in theirs])
        assert reference.shape == view.shape
        over = tuple(range(1, view.ndim))
        for moment in (torch.mean, torch.std):
            a, b = moment(reference, dim=over), moment(view, dim=over)
            spread = (a.var() / len(a) + b.var() / len(b)).sqrt() + 1e-9
            # Pillow rounds down at each step: up to one level.
            assert (a.mean() - b.mean()).abs() < 4 * spread + 1.5 / 255


def test_a_jigsaw_that_does_not_fit_is_refused_before_the_training():
    tile = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    with pytest.raises(SslbenchError, match="cannot be drawn from images of 90x90x3"):
        compile_views(LightlyJigsaw(3, 96, 32, tile), size=90, channels=3, device="cpu", workers=0)


def test_a_subclass_that_does_more_is_not_taken_for_its_parent():
    class Other(VICRegLTransform):
        def __call__(self, image):
            return super().__call__(image)[:1]

    with pytest.raises(UnknownStepError, match="Other has no batched form"):
        views_of(Other(96, 32, normalize=None))
