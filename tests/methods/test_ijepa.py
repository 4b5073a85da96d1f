"""I-JEPA: the student sees only the context, and the teacher sees the whole image and has no gradient."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from bench.backbones import build
from methods.base import Batch
from methods.ijepa import IJEPA, IJEPASettings
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.37,), True, 1000, 1000)


def ijepa(backbone: str = "vit_nano") -> IJEPA:
    torch.manual_seed(0)
    return IJEPA(build(backbone, TRAITS), IJEPASettings(), TRAITS)


def digits() -> Tensor:
    return torch.from_numpy(load_digits().images[:32]).float()[:, None] / 16


def masks() -> tuple[Tensor, list[Tensor]]:
    return IJEPA.collate(IJEPASettings(), TRAITS)(32, torch.Generator().manual_seed(0))


def other_pixels(images: Tensor, context: Tensor) -> Tensor:
    """Return the images with random pixels outside the context."""
    seen = torch.zeros(len(images), 16, dtype=torch.bool).scatter(1, context, True)
    seen = seen.reshape(-1, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return torch.where(seen, images, torch.randn(images.shape, generator=torch.Generator().manual_seed(1)))


def test_pixels_outside_the_context_do_not_change_the_prediction() -> None:
    method, (context, targets) = ijepa(), masks()
    changed = other_pixels(digits(), context)
    assert torch.equal(method.predict(digits(), context, targets), method.predict(changed, context, targets))
    assert not torch.allclose(method.target_features(digits(), targets), method.target_features(changed, targets))


def test_targets_are_the_teachers_normalised_features_at_their_positions() -> None:
    method, (_, targets) = ijepa(), masks()
    features = method.target_features(digits(), targets)
    feature_map = method.teacher.feature_map(digits())
    assert feature_map is not None
    count = targets[0].shape[1]
    assert features.shape == (4 * 32, count, 64)
    for block, image, position in [(0, 0, 0), (1, 5, count - 1), (3, 31, 0)]:
        patch = int(targets[block][image, position])
        feature = feature_map[image, :, patch // 4, patch % 4]
        by_hand = (feature - feature.mean()) / (feature.var(correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(features[block * 32 + image, position], by_hand, rtol=1e-4, atol=1e-5)


def test_predictions_have_the_order_of_the_targets() -> None:
    method, (context, targets) = ijepa(), masks()
    torch.nn.init.normal_(method.predictor.decoder.mask_token)
    together = method.predict(digits(), context, targets)
    for block, target in enumerate(targets):
        alone = method.predict(digits(), context, [target])
        torch.testing.assert_close(together[block * 32 : (block + 1) * 32], alone, rtol=1e-4, atol=1e-5)


def test_the_loss_is_smooth_l1_over_all_targets() -> None:
    method, (context, targets) = ijepa(), masks()
    distance = (method.predict(digits(), context, targets) - method.target_features(digits(), targets)).abs()
    by_hand = torch.where(distance < 1, distance.square() / 2, distance - 0.5).mean()
    batch = Batch([digits()], (context, targets), torch.arange(32), None, torch.Generator())
    torch.testing.assert_close(method(batch, 0.0).total, by_hand)


def test_the_teacher_has_no_gradient_and_its_momentum_rises_linearly_to_1() -> None:
    method = ijepa()
    method(Batch([digits()], masks(), torch.arange(32), None, torch.Generator()), 0.0).total.backward()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    before = method.teacher.vit.norm.weight.clone()
    with torch.no_grad():
        method.backbone.vit.norm.weight.add_(1.0)
    method.after_step(1.0)
    assert torch.equal(before, method.teacher.vit.norm.weight)
    method.after_step(0.5)
    moved = (1 - method.settings.momentum) / 2
    torch.testing.assert_close(method.teacher.vit.norm.weight, before + moved)


def test_the_teacher_is_evaluated() -> None:
    method = ijepa()
    assert method.encoder().backbone is method.teacher and method.encoder().pooling == "patches"


def test_the_view_is_one_crop_that_is_never_flipped() -> None:
    steps = [type(step).__name__ for step in IJEPA.views(IJEPASettings(), TRAITS).transforms[0].transforms]
    assert steps == ["RandomResizedCrop", "ToTensor"]


@pytest.mark.parametrize("backbone", ["vit_tiny", "vit_small"])
def test_the_predictor_keeps_its_ratio_to_the_backbone(backbone: str) -> None:
    method = ijepa(backbone)
    assert method.predictor.predictor_embed.out_features == method.backbone.dim // 2
    assert len(method.predictor.decoder.blocks) == 6
