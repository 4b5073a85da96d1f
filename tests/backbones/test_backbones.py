"""Backbones support every image size of the data sets, and match their catalogue entries."""

import subprocess
import sys

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from bench.backbones import build
from bench.backbones.catalogue import CATALOGUE, find
from bench.errors import SslbenchError
from methods.base import Backbone
from methods.traits import Traits


def traits_of(size: int, channels: int) -> Traits:
    return Traits(channels, size, 10, (0.5,) * channels, (0.25,) * channels, False, 1000, 1000)


def backbone_of(name: str, size: int = 8, channels: int = 1) -> Backbone:
    torch.manual_seed(0)
    return build(name, traits_of(size, channels))


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (96, 3)])
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_backbone_supports_every_image_size(name: str, size: int, channels: int) -> None:
    backbone = backbone_of(name, size, channels).eval()
    images = torch.rand(2, channels, size, size)
    with torch.no_grad():
        features, feature_map = backbone(images), backbone.feature_map(images)
    assert features.shape == (2, backbone.dim) == (2, find(name).dim)
    assert backbone.kind == find(name).kind
    if feature_map is None:
        assert backbone.kind == "mlp"
    else:
        assert feature_map.shape[:2] == (2, backbone.dim)
        assert feature_map.shape[2] == feature_map.shape[3] >= 2


@pytest.mark.parametrize("name", CATALOGUE)
def test_weights_depend_only_on_the_global_generator(name: str) -> None:
    first, again = backbone_of(name), backbone_of(name)
    other = build(name, traits_of(8, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_resnet_stem_keeps_the_resolution_up_to_64_pixels_and_is_imagenets_above() -> None:
    images = {size: torch.rand(1, 3, size, size) for size in (32, 64, 128)}
    sides = {size: backbone_of("resnet18", size, 3).feature_map(x) for size, x in images.items()}
    assert {size: m.shape[-1] for size, m in sides.items() if m is not None} == {32: 4, 64: 8, 128: 4}


def test_resnet9_has_the_published_number_of_parameters() -> None:
    # cifar10-fast's ResNet-9 has 6,573,120 parameters with its 10-way classifier (512·10, no bias).
    parameters = sum(p.numel() for p in backbone_of("resnet9", 32, 3).parameters())
    assert parameters == 6_573_120 - 5_120


@pytest.mark.parametrize(("size", "tokens"), [(8, 17), (28, 50), (32, 65), (96, 145), (128, 65), (224, 197)])
def test_a_vit_has_the_expected_number_of_tokens_for_each_image_size(size: int, tokens: int) -> None:
    backbone = backbone_of("vit_nano", size, 3)
    assert backbone.tokens(torch.rand(1, 3, size, size)).shape == (1, tokens, 64)  # type: ignore[operator]


def test_a_vit_pools_the_class_token_or_the_patches() -> None:
    backbone = backbone_of("vit_nano").eval()
    images = torch.rand(2, 1, 8, 8)
    feature_map = backbone.feature_map(images)
    assert feature_map is not None
    torch.testing.assert_close(backbone.features(images, "patches"), feature_map.mean(dim=(2, 3)))
    assert not torch.allclose(backbone.features(images, "class"), backbone.features(images, "patches"))


def test_a_patch_token_has_the_position_of_its_patch_in_the_feature_map() -> None:
    backbone = backbone_of("vit_nano").eval()
    images = torch.zeros(1, 1, 8, 8)
    changed = images.clone()
    changed[0, 0, 2:4, 6:8] = 1.0
    first, second = backbone.feature_map(images), backbone.feature_map(changed)
    assert first is not None and second is not None
    difference = (first - second).norm(dim=1)[0]
    assert difference.argmax() == 1 * 4 + 3


def test_resampling_of_position_embeddings_does_not_change_a_bit_at_the_native_size() -> None:
    backbone = backbone_of("vit_nano", 28).eval()
    plain = VisionTransformer(
        28, 4, 1, num_classes=0, global_pool="", embed_dim=64, depth=4, num_heads=4, dynamic_img_size=False
    ).eval()
    plain.load_state_dict(backbone.vit.state_dict())  # type: ignore[union-attr]
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(backbone.tokens(images), plain.forward_features(images))  # type: ignore[operator]


@pytest.mark.parametrize(("size", "crop"), [(8, 4), (8, 12), (28, 12), (96, 48)])
def test_a_vit_accepts_smaller_and_larger_crops(size: int, crop: int) -> None:
    backbone = backbone_of("vit_nano", size).eval()
    images = torch.rand(2, 1, crop, crop)
    feature_map = backbone.feature_map(images)
    assert backbone(images).shape == (2, 64)
    assert feature_map is not None and feature_map.shape[-1] == crop // backbone.patch  # type: ignore[operator]


def test_a_patch_token_of_a_crop_has_the_position_of_its_patch() -> None:
    backbone = backbone_of("vit_nano", 28).eval()
    images = torch.zeros(1, 1, 12, 12)
    changed = images.clone()
    changed[0, 0, 4:8, 8:12] = 1.0
    first, second = backbone.feature_map(images), backbone.feature_map(changed)
    assert first is not None and second is not None
    assert (first - second).norm(dim=1)[0].argmax() == 1 * 3 + 2


def test_a_vit_rejects_a_crop_that_its_patch_size_does_not_divide() -> None:
    with pytest.raises(ValueError, match="10 pixels cannot be cut into patches of 4"):
        backbone_of("vit_nano", 28)(torch.rand(2, 1, 10, 10))


@pytest.mark.parametrize(("name", "millions"), [("vit_tiny", 5.52), ("vit_small", 21.67)])
def test_vits_have_as_many_parameters_as_timms(name: str, millions: float) -> None:
    # timm's vit_tiny_patch16_224 and vit_small_patch16_224 without classifier: 5.52 and 21.67 million.
    assert sum(p.numel() for p in backbone_of(name, 224, 3).parameters()) == pytest.approx(millions * 1e6, rel=1e-3)


def test_lightlys_masked_wrapper_accepts_the_vit() -> None:
    from lightly.models.modules import MaskedVisionTransformerTIMM

    backbone = backbone_of("vit_nano").eval()
    wrapped = MaskedVisionTransformerTIMM(backbone.vit, weight_initialization="skip", pos_embed_initialization="skip")
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(wrapped.encode(images), backbone.tokens(images))  # type: ignore[operator]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_pooling_that_the_backbone_does_not_have_is_rejected(name: str) -> None:
    backbone = backbone_of(name)
    wrong = "class" if backbone.kind != "transformer" else "average"
    with pytest.raises(ValueError, match=f"no pooling '{wrong}'"):
        backbone.features(torch.rand(2, 1, 8, 8), wrong)


def test_the_error_for_an_unknown_backbone_names_the_nearest_one() -> None:
    with pytest.raises(SslbenchError, match="did you mean 'resnet18'"):
        find("resnet_18")
    with pytest.raises(SslbenchError, match="known: resnet9"):
        find("%%%")


def test_a_vit_rejects_an_image_size_that_its_patch_size_does_not_divide() -> None:
    with pytest.raises(SslbenchError, match="30 pixels into patches of 4"):
        backbone_of("vit_nano", 30, 3)


def test_the_catalogue_imports_no_torch() -> None:
    code = "import sys, bench.backbones.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
