"""Every batched step compared with Pillow or torchvision for the same parameters, on real images."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from bench.views.blur import gaussian_blur
from bench.views.colour import Grey, Solarise, jitter
from bench.views.crop import CentreCrop, PaddedCrop, Resize, cut_out
from bench.views.orientation import rotate
from bench.views.resample import enlarge, resize_matrices, separable

ONE_LEVEL = 1 / 255


def pil(images):
    return [
        Image.fromarray(i[0].numpy()) if len(i) == 1 else Image.fromarray(i.permute(1, 2, 0).numpy()) for i in images
    ]


def tensor(pictures):
    return torch.stack([F.to_dtype(F.to_image(p), torch.float32, scale=True) for p in pictures])


def error(ours, pictures):
    return (ours - tensor(pictures)).abs()


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.75])
def test_crop_resize_and_flips_equal_pillow(images, kernel, factor):
    generator = np.random.default_rng(0)
    side = images.shape[-1]
    target = int(side * factor)
    boxes = []
    for _ in images:
        height, width = generator.integers(1, side + 1, 2)
        boxes.append((generator.integers(side - height + 1), generator.integers(side - width + 1), height, width))
    top, left, height, width = (torch.tensor(c, dtype=torch.float32) for c in zip(*boxes, strict=True))
    flips = torch.from_numpy(generator.random((2, len(images))) < 0.5)
    ours = separable(
        images / 255,
        resize_matrices(top, height, side, target, flips[0], kernel),
        resize_matrices(left, width, side, target, flips[1], kernel),
        bounded=kernel == "bicubic",
    )
    theirs = []
    for index, (picture, box) in enumerate(zip(pil(images), boxes, strict=True)):
        picture = F.resized_crop(picture, *map(int, box), [target, target], F.InterpolationMode(kernel))
        picture = F.vertical_flip(picture) if flips[0, index] else picture
        theirs.append(F.horizontal_flip(picture) if flips[1, index] else picture)
    errors = error(ours, theirs)
    assert errors.mean() < 0.5 * ONE_LEVEL
    # The cubic kernel overshoots and is clamped after each dimension; newer versions of Pillow start with the one that shrinks.
    assert errors.max() < (2 if kernel == "bilinear" else 16) * ONE_LEVEL


def test_enlarging_equals_resizing_by_matrices(images):
    generator = torch.Generator().manual_seed(0)
    side = images.shape[-1]
    length = torch.randint(1, side + 1, (2, len(images)), generator=generator)
    start = (torch.rand(2, len(images), generator=generator) * (side - length + 1)).floor()
    flips = torch.rand(2, len(images), generator=generator) < 0.5
    for target in (side, side + 5):
        matrices = [resize_matrices(start[d], length[d].float(), side, target, flips[d]) for d in range(2)]
        ours = enlarge(images / 255, (start[0], length[0]), (start[1], length[1]), (target, target), *flips)
        torch.testing.assert_close(ours, separable(images / 255, *matrices), atol=5e-5, rtol=0)


def test_crop_equals_torchvisions_float_arithmetic(photographs):
    pictures = photographs[:16] / 255
    rows = resize_matrices(torch.full((16,), 11.0), torch.full((16,), 70.0), 96, 32)
    columns = resize_matrices(torch.full((16,), 3.0), torch.full((16,), 20.0), 96, 32)
    theirs = F.resized_crop(pictures, 11, 3, 70, 20, [32, 32], antialias=True)
    torch.testing.assert_close(separable(pictures, rows, columns), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 1.37, 2.0])
def test_blur_equals_pillow(images, sigma):
    ours = gaussian_blur(images / 255, torch.full((len(images),), sigma))
    theirs = [p.filter(ImageFilter.GaussianBlur(radius=sigma)) for p in pil(images)]
    assert error(ours, theirs).mean() < ONE_LEVEL


@pytest.mark.parametrize("operation, name", [(0, "brightness"), (1, "contrast"), (2, "saturation")])
@pytest.mark.parametrize("factor", [0.2, 0.8, 1.3, 1.8])
def test_brightness_contrast_saturation_equal_pillow(images, operation, name, factor):
    factors = torch.ones(len(images), 3)
    factors[:, operation] = factor
    order = torch.arange(3).expand(len(images), 3)
    ours = jitter(images / 255, order, None, factors, torch.zeros(len(images)))
    theirs = [getattr(F, f"adjust_{name}")(p, factor) for p in pil(images)]
    assert error(ours, theirs).mean() < ONE_LEVEL


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.05, 0.1, 0.2])
def test_hue_equals_torchvisions_float_arithmetic(photographs, shift):
    ours = hue(photographs, shift)
    torch.testing.assert_close(ours, F.adjust_hue(photographs / 255, shift), atol=1e-4, rtol=0)


@pytest.mark.parametrize("steps", [-60, 10, 51])
def test_hue_equals_pillow_within_the_rounding_of_its_hsv(photographs, steps):
    # Pillow stores hue, saturation and value as integers up to 255, and shifts the hue by an integer modulo 256.
    theirs = [F.adjust_hue(p, (steps + 0.5 * np.sign(steps)) / 255) for p in pil(photographs)]
    assert error(hue(photographs, steps / 256), theirs).mean() < 0.5 * ONE_LEVEL


def hue(images, shift):
    order, factors = torch.arange(3).expand(len(images), 3), torch.ones(len(images), 3)
    hue_position = torch.zeros(len(images), dtype=torch.long)
    return jitter(images / 255, order, hue_position, factors, torch.full((len(images),), shift))


def test_jitter_applies_the_adjustments_in_the_order_of_each_image(photographs):
    generator = torch.Generator().manual_seed(3)
    count = len(photographs)
    order = torch.rand(count, 3, generator=generator).argsort(1)
    hue_position = torch.randint(4, (count,), generator=generator)
    factors = 0.4 + 1.2 * torch.rand(count, 3, generator=generator)
    shift = 0.2 * torch.rand(count, generator=generator) - 0.1
    ours = jitter(photographs / 255, order, hue_position, factors, shift)
    names = ["adjust_brightness", "adjust_contrast", "adjust_saturation"]
    for index in range(count):
        steps = [(names[o], float(factors[index, o])) for o in order[index].tolist()]
        steps.insert(int(hue_position[index]), ("adjust_hue", float(shift[index])))
        theirs = photographs[index] / 255
        for name, value in steps:
            theirs = getattr(F, name)(theirs, value)
        assert (ours[index] - theirs).abs().mean() < 0.1 * ONE_LEVEL


def test_greyscale_equals_pillow(images):
    ours = Grey(1.0)(images / 255, torch.zeros(len(images), 1))
    channels = images.shape[1]
    assert error(ours, [F.rgb_to_grayscale(p, num_output_channels=channels) for p in pil(images)]).max() < ONE_LEVEL


def test_solarise_equals_pillow_exactly(images):
    ours = Solarise(128, 1.0)(images / 255, torch.zeros(len(images), 1))
    assert error(ours, [F.solarize(p, 128) for p in pil(images)]).max() < 1e-6


@pytest.mark.parametrize("degrees", [-35.0, 7.5, 90.0, 180.0, 270.0])
def test_rotation_equals_pillow(images, degrees):
    ours = rotate(images / 255, torch.full((len(images),), degrees))
    errors = error(ours, [F.rotate(p, degrees) for p in pil(images)])
    assert errors.mean() < ONE_LEVEL
    assert degrees % 90 or errors.max() < 1e-6


def test_resize_and_centre_crop_equal_pillow(photographs):
    steps = v2.Compose([v2.Resize(48), v2.CenterCrop(31)])
    none = torch.empty(len(photographs), 0)
    ours = CentreCrop((31, 31))(Resize(48)(photographs / 255, none), none)
    assert error(ours, [steps(p) for p in pil(photographs)]).max() < 2 * ONE_LEVEL


def test_padded_crop_reaches_the_corners_of_the_padded_image(digits):
    corners = torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.0, 0.999], [0.5, 0.5]])
    pictures = digits[:4] / 255
    ours = PaddedCrop((8, 8), 1)(pictures, corners)
    for index, (top, left) in enumerate([(0, 0), (2, 2), (0, 2), (1, 1)]):
        theirs = F.crop(F.pad(pictures[index], [1]), top, left, 8, 8)
        assert torch.equal(ours[index], theirs)


def test_a_part_beyond_the_image_repeats_the_edge_pixels(photographs):
    top, left = torch.tensor([-12, 5]), torch.tensor([4, -7])
    ours = cut_out(photographs[:2], top, left, (96, 96), extend=True)
    for index in range(2):
        padded = F.pad(photographs[index], [12], padding_mode="edge")
        assert torch.equal(ours[index], F.crop(padded, 12 + int(top[index]), 12 + int(left[index]), 96, 96))
