"""Batched jigsaws and grids of positions, compared with lightly's per-image versions."""

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
from bench.views.pipeline import UnknownStepError, programs_of


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, side):
    """Images in which all pixels have different values."""
    return torch.arange(side * side, dtype=torch.float32).view(1, 1, side, side).repeat(count, 1, 1, 1)


@pytest.mark.parametrize(("size", "cell", "side"), [(9, 9, 3), (7, 9, 3), (4, 4, 2)])
def test_tiles_equal_lightlys_up_to_their_order(size, cell, side):
    """Every tile is a possible tile of lightly's jigsaw, and every cell of the grid appears exactly once."""
    images = numbered(50, cell * side)
    theirs = LightlyJigsaw(side, cell * side, size, v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))
    possible = set()
    for row in range(cell - size + 1):
        for column in range(cell - size + 1):
            for cell_index in range(side * side):
                top, left = int(theirs.xx[cell_index]) + row, int(theirs.yy[cell_index]) + column
                tile = images[0, 0, top : top + size, left : left + size]
                possible.add((cell_index, tile.numpy().tobytes()))
    step = Jigsaw(side, cell, size, ())
    tiles = step(images, torch.rand(50, step.uniforms, generator=generator()))
    assert tiles.shape == (50, side * side, 1, size, size)
    cell_of_tile = {pixels: cell_index for cell_index, pixels in possible}
    orders = set()
    for image in tiles:
        order = tuple(cell_of_tile[tile.numpy().tobytes()] for tile in image[:, 0])
        assert sorted(order) == list(range(side * side))
        orders.add(order)
    assert len(orders) > 10


def test_all_positions_in_a_cell_and_all_orders_are_equally_likely():
    step = Jigsaw(2, 5, 3, ())
    tiles = step(numbered(20_000, 10), torch.rand(20_000, step.uniforms, generator=generator()))
    first = tiles[:, 0, 0, 0, 0].long()
    _, counts = first.unique(return_counts=True)
    assert len(counts) == 4 * 9
    expected = 20_000 / 36
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 66.6, "the 99.9 % point of chi square with 35 degrees of freedom"


def test_each_tile_is_augmented_independently():
    tile = v2.Compose([v2.ColorJitter(0.5), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    views = compile_views(LightlyJigsaw(3, 30, 10, tile), size=30, channels=3, device="cpu")
    assert views.engine == "batched", views.reason
    (tiles,) = views(torch.full((40, 3, 30, 30), 100, dtype=torch.uint8), generator())
    levels = tiles.mean(dim=(2, 3, 4)) * 255
    assert (levels.std(dim=1) > 1).all()
    assert levels.min() >= 49 and levels.max() <= 151


@pytest.mark.parametrize("flips", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("cells", [2, 3, 7])
def test_grids_equal_lightlys(cells, flips):
    step = RandomResizedCrop((16, 16), (0.2, 1.0), horizontal_flip=flips[0], vertical_flip=flips[1])
    uniforms = torch.rand(8, step.uniforms, generator=generator())
    box, _, _ = step.parameters(uniforms, 40, 30)
    theirs = RandomResizedCropAndFlip(grid_size=cells)
    for image, grid in enumerate(step.grid_positions(uniforms, 40, 30, cells)):
        top, left, height, width = (float(side[image]) for side in box)
        location = Location(top, left, height, width, 40, 30, bool(flips[0]), bool(flips[1]))
        torch.testing.assert_close(grid, theirs.location_to_NxN_grid(location))


def test_a_grid_holds_the_position_of_its_view_in_the_image():
    """In a horizontal ramp the pixel values give the column, so a view's mean gives the centre of its crop."""
    ramp = (torch.arange(96, dtype=torch.uint8) * 2).expand(64, 1, 96, 96).contiguous()
    pipeline = VICRegLTransform(96, 32, 2, 1, global_grid_size=2, normalize=None, cj_prob=0, random_gray_scale=0)
    for crop_and_flip, rest in pipeline.transforms:
        rest.transform.transforms = rest.transform.transforms[-1:]  # no colour steps
        crop_and_flip.hf_prob = 0.5
    views = compile_views(pipeline, size=96, channels=1, device="cpu")
    assert (views.engine, views.count) == ("batched", 6), views.reason
    *pictures, first, second, small = views(ramp, generator())
    assert [tuple(p.shape[1:]) for p in pictures] == [(1, 96, 96), (1, 96, 96), (1, 32, 32)]
    assert first.shape == second.shape == (64, 2, 2, 2) and small.shape == (64, 3, 3, 2)
    # lightly's two cells are at 0.25 and 1.25 of the crop's width.
    middle = first[:, 0, :, 0].mean(dim=1) - first[:, 0, :, 0].diff(dim=1).abs()[:, 0] / 4
    torch.testing.assert_close(pictures[0].mean(dim=(1, 2, 3)) * 255 / 2 + 0.5, middle, atol=1.0, rtol=0)


@pytest.mark.parametrize("pipeline", [PIRLTransform(96, normalize=None), VICRegLTransform(96, 32, normalize=None)])
def test_views_have_the_same_moments_as_lightlys_views(pipeline, photographs):
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in photographs[:32]]
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    theirs = [pipeline(picture) for _ in range(6) for picture in pictures]
    ours = compile_views(pipeline, size=96, channels=3, device="cpu")(photographs[:32].repeat(6, 1, 1, 1), generator())
    for index, view in enumerate(ours):
        reference = torch.stack([entry[index] for entry in theirs])
        assert reference.shape == view.shape
        over = tuple(range(1, view.ndim))
        for moment in (torch.mean, torch.std):
            a, b = moment(reference, dim=over), moment(view, dim=over)
            spread = (a.var() / len(a) + b.var() / len(b)).sqrt() + 1e-9
            # Pillow rounds down at each step, by up to one grey level.
            assert (a.mean() - b.mean()).abs() < 4 * spread + 1.5 / 255


def test_a_jigsaw_that_does_not_fit_is_rejected_before_training():
    tile = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    with pytest.raises(SslbenchError, match="cannot be drawn from images of 90x90x3"):
        compile_views(LightlyJigsaw(3, 96, 32, tile), size=90, channels=3, device="cpu", workers=0)


def test_a_subclass_with_its_own_call_is_not_treated_as_its_parent():
    class Other(VICRegLTransform):
        def __call__(self, image):
            return super().__call__(image)[:1]

    with pytest.raises(UnknownStepError, match="Other has no batched form"):
        programs_of(Other(96, 32, normalize=None))
