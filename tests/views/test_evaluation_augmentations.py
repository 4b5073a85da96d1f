"""Augmentations of the protocols, and the preparation of images for an encoder."""

import pytest
import torch
from lightly.transforms.simclr_transform import SimCLRTransform
from torchvision.transforms.v2 import functional as F

from bench.views import augment, compile_views, prepare
from methods.base import InputSpec
from methods.traits import Traits


def traits(images, flip=False):
    _, channels, side, _ = images.shape
    return Traits(channels, side, 10, (0.5,) * channels, (0.5,) * channels, flip, len(images), len(images))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind, count", [("shift", 1), ("crop", 1), ("views", 2)])
def test_augmentations_keep_type_and_shape_and_are_reproducible(images, kind, count):
    views = augment(images, kind, generator(), traits(images))
    assert len(views) == count
    assert all(view.dtype == torch.uint8 and view.shape == images.shape for view in views)
    again = augment(images, kind, generator(), traits(images))
    assert all(torch.equal(a, b) for a, b in zip(views, again, strict=True))
    assert not torch.equal(views[0], images)


def test_shift_moves_each_image_by_its_own_number_of_whole_pixels(digits):
    (moved,) = augment(digits, "shift", generator(), traits(digits))
    offsets = set()
    for image, view in zip(digits, moved, strict=True):
        padded = F.pad(image, [1], padding_mode="edge")
        found = [(r, c) for r in range(3) for c in range(3) if torch.equal(F.crop(padded, r, c, 8, 8), view)]
        assert found
        offsets |= set(found)
    assert len(offsets) == 9


def test_images_are_flipped_only_if_the_traits_allow_it(digits):
    asymmetric = torch.zeros(400, 1, 8, 8, dtype=torch.uint8)
    asymmetric[..., :3] = 200
    for kind in ("shift", "crop", "views"):
        mirrored = [
            (augment(asymmetric, kind, generator(), traits(asymmetric, flip))[0].float() @ torch.arange(-3.5, 4)).sum(
                (1, 2)
            )
            > 0
            for flip in (False, True)
        ]
        assert mirrored[0].sum() == 0, kind
        assert 80 < mirrored[1].sum() < 250, kind


@pytest.mark.parametrize("side, blur", [(32, 0.0), (96, 0.5)])
def test_views_of_protocols_equal_simclrs_without_blur_up_to_32_pixels(photographs, side, blur):
    small = photographs[:, :, :: 96 // side, :: 96 // side].contiguous()
    reference = SimCLRTransform(side, gaussian_blur=blur, normalize=None)
    expected = compile_views(reference, size=side, channels=3, device="cpu")(small, generator())
    views = augment(small, "views", generator(), traits(small, flip=True))
    for view, reference_view in zip(views, expected, strict=True):
        assert (view / 255 - reference_view).abs().max() < 0.51 / 255


def test_prepared_images_are_resized_and_normalised_and_grey_images_get_three_channels(digits, photographs):
    spec = InputSpec(32, 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    grey = prepare(digits, spec, "cpu")
    assert grey.shape == (len(digits), 3, 32, 32)
    for pictures in (digits.repeat(1, 3, 1, 1), photographs):
        resized = F.resize(pictures / 255, [32, 32], antialias=True)
        expected = F.normalize(resized, list(spec.mean), list(spec.std))
        torch.testing.assert_close(prepare(pictures, spec, "cpu"), expected)
    torch.testing.assert_close(grey, prepare(digits.repeat(1, 3, 1, 1), spec, "cpu"))


def test_colour_images_are_rejected_for_an_encoder_with_one_channel(photographs):
    with pytest.raises(ValueError, match="takes 1 channel, the images have 3"):
        prepare(photographs, InputSpec(96, 1, (0.5,), (0.5,)), "cpu")
