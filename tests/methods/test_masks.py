"""Masks depend only on their generator, and masked patches do not reach the network."""

import copy
import random

import pytest
import torch
from lightly.models.utils import random_block_mask
from sklearn.datasets import load_digits
from torch import Tensor, nn

from bench.backbones import build
from methods.base import Backbone
from methods.parts.masked import drawing_from, encode_kept, encode_masked, random_patches, vit_of
from methods.parts.patches import patch_pixels
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.37,), False, 1000, 1000)


def backbone_of(name: str = "vit_nano") -> Backbone:
    torch.manual_seed(0)
    return build(name, TRAITS).eval()


def digits() -> Tensor:
    return torch.from_numpy(load_digits().images[:16]).float()[:, None] / 16


def hide(images: Tensor, masked: Tensor) -> Tensor:
    """Return the images with random pixels in the masked patches (2×2 pixels each)."""
    pixels = masked.reshape(-1, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return torch.where(pixels, torch.randn(images.shape, generator=torch.Generator().manual_seed(1)), images)


def test_a_mask_depends_only_on_the_generator() -> None:
    def draw(seed: int) -> Tensor:
        with drawing_from(torch.Generator().manual_seed(seed)):
            return random_block_mask((32, 8, 8), min_num_masks_per_block=1)

    torch.manual_seed(1)
    random.seed(1)
    first = draw(0)
    torch.manual_seed(2)
    random.seed(2)
    assert torch.equal(first, draw(0))
    assert not torch.equal(first, draw(1))


def test_drawing_a_mask_does_not_change_the_global_generators() -> None:
    before, python_before = torch.get_rng_state(), random.getstate()
    random_patches(8, 16, 0.75, torch.Generator().manual_seed(0))
    with drawing_from(torch.Generator()):
        random_block_mask((8, 8, 8))
    assert torch.equal(before, torch.get_rng_state()) and python_before == random.getstate()


@pytest.mark.parametrize(("patches", "kept"), [(16, 4), (49, 12), (64, 16), (144, 36)])
def test_every_patch_is_kept_or_masked_and_all_are_masked_equally_often(patches: int, kept: int) -> None:
    keep, masked = random_patches(4000, patches, 0.75, torch.Generator().manual_seed(0))
    assert keep.shape == (4000, kept)
    assert torch.equal(torch.cat([keep, masked], 1).sort(1).values, torch.arange(patches).expand(4000, -1))
    frequencies = torch.bincount(masked.flatten(), minlength=patches) / 4000
    assert (frequencies - (1 - kept / patches)).abs().max() < 5 * (0.75 * 0.25 / 4000) ** 0.5


def test_masked_pixels_do_not_change_the_kept_tokens() -> None:
    vit = vit_of(backbone_of(), TRAITS)
    images = digits()
    keep, masked = random_patches(16, 16, 0.75, torch.Generator().manual_seed(0))
    changed = hide(images, torch.zeros(16, 16, dtype=torch.bool).scatter(1, masked, True))
    assert not torch.equal(images, changed)
    assert torch.equal(encode_kept(vit, images, keep), encode_kept(vit, changed, keep))
    assert not torch.allclose(encode_kept(vit, images, masked), encode_kept(vit, changed, masked))


def test_pixels_replaced_by_a_mask_token_do_not_reach_the_network() -> None:
    vit, token = vit_of(backbone_of(), TRAITS), nn.Parameter(torch.randn(1, 1, 64))
    images = digits()
    masked = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) < 0.5
    changed = hide(images, masked)
    assert torch.equal(encode_masked(vit, images, masked, token), encode_masked(vit, changed, masked, token))
    assert not torch.allclose(encode_masked(vit, images, ~masked, token), encode_masked(vit, changed, ~masked, token))


def test_tokens_without_a_mask_equal_the_backbones() -> None:
    backbone = backbone_of()
    vit, images = vit_of(backbone, TRAITS), digits()
    expected = backbone.tokens(images)  # type: ignore[operator]
    keep = torch.arange(16).expand(16, -1)
    no_mask = torch.zeros(16, 16, dtype=torch.bool)
    torch.testing.assert_close(encode_kept(vit, images, keep), expected)
    torch.testing.assert_close(encode_masked(vit, images, no_mask, nn.Parameter(torch.randn(1, 1, 64))), expected)


def test_masked_encoding_does_not_change_weights_positions_or_names() -> None:
    backbone = backbone_of()
    before = copy.deepcopy(backbone.state_dict())
    encode_kept(vit_of(backbone, TRAITS), digits(), torch.arange(4).expand(16, -1))
    encode_masked(vit_of(backbone, TRAITS), digits(), torch.ones(16, 16) > 0, nn.Parameter(torch.zeros(1, 1, 64)))
    assert list(before) == list(backbone.state_dict())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert not backbone.vit.pos_embed.requires_grad  # type: ignore[union-attr]


def test_a_convolutional_backbone_is_an_error() -> None:
    with pytest.raises(ValueError, match="need a vision transformer from timm, not ResNet9"):
        vit_of(backbone_of("resnet9_slim"), TRAITS)


def test_another_patch_size_than_that_of_the_masks_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"4 pixels for images of 32.*\(2, 2\)"):
        vit_of(backbone_of(), Traits(1, 32, 10, (0.3,), (0.37,), False, 1000, 1000))


def test_patch_pixels_are_in_row_order_and_normalised_per_patch() -> None:
    images = digits()
    assert torch.equal(patch_pixels(images, 2, normalised=False)[3, 6].reshape(2, 2), images[3, 0, 2:4, 4:6])
    normalised = patch_pixels(images, 4, normalised=True)
    torch.testing.assert_close(normalised.mean(-1), torch.zeros(16, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.var(-1), torch.ones(16, 4), atol=1e-3, rtol=0)
