"""MAE, SimMIM and AIM on digits: masked patches are invisible to the network, and only they are predicted."""

from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from bench.backbones import build
from methods.aim import AIM, AIMSettings, prefix_causal
from methods.base import Batch, Method
from methods.mae import MAE, MAESettings
from methods.simmim import SimMIM, SimMIMSettings
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.37,), False, 1000, 1000)
METHODS: list[tuple[type[Method], Any]] = [(MAE, MAESettings()), (SimMIM, SimMIMSettings()), (AIM, AIMSettings())]


def method_of(cls: type[Any], settings: Any, traits: Traits = TRAITS) -> Any:
    torch.manual_seed(0)
    return cls(build("vit_nano", traits), settings, traits)


def digits() -> Tensor:
    return torch.from_numpy(load_digits().images[:32]).float()[:, None] / 16


def masks_of(method: Method, seed: int = 0) -> Any:
    draw = method.collate(method.settings, method.traits)
    assert draw is not None
    return draw(32, torch.Generator().manual_seed(seed))


def batch_of(images: Tensor, masks: Any) -> Batch:
    return Batch([images], masks, torch.arange(len(images)), None, torch.Generator())


def other_pixels(images: Tensor, patches: Tensor) -> Tensor:
    """Return the images with random pixels in the chosen patches (a mask of 4×4 patches)."""
    chosen = patches.reshape(-1, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return torch.where(chosen, torch.randn(images.shape, generator=torch.Generator().manual_seed(1)), images)


def mask_of(indices: Tensor) -> Tensor:
    return torch.zeros(len(indices), 16, dtype=torch.bool).scatter(1, indices, True)


def test_mae_masks_three_quarters_of_the_patches() -> None:
    method = method_of(MAE, MAESettings())
    kept, hidden = masks_of(method)
    assert kept.shape == (32, 4) and hidden.shape == (32, 12)
    changed = other_pixels(digits(), mask_of(hidden))
    assert torch.equal(method.predict(digits(), kept, hidden), method.predict(changed, kept, hidden))


def test_mae_predicts_only_the_masked_patches_normalised_per_patch() -> None:
    method = method_of(MAE, MAESettings())
    kept, hidden = masks_of(method)
    images = digits()
    predicted, errors = method.predict(images, kept, hidden), []
    for image, predictions, patches in zip(images, predicted, hidden, strict=True):
        for prediction, patch in zip(predictions, patches.tolist(), strict=True):
            row, column = 2 * (patch // 4), 2 * (patch % 4)
            pixels = image[0, row : row + 2, column : column + 2].flatten()
            errors.append(((prediction - (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()) ** 2).mean())
    torch.testing.assert_close(method(batch_of(images, (kept, hidden)), 0.0).total, torch.stack(errors).mean())


def test_mae_predictions_depend_on_the_patch_position() -> None:
    # The decoder's only input for masked patches is their fixed position.
    method = method_of(MAE, MAESettings())
    kept, hidden = masks_of(method)
    predicted = method.predict(digits(), kept, hidden)
    again = method.predict(digits(), kept.flip(1), hidden.flip(1))
    torch.testing.assert_close(predicted, again.flip(1), rtol=1e-4, atol=1e-5)
    assert predicted.std(dim=1).mean() > 1e-3
    assert not method.decoder.pos_embed.requires_grad


def test_simmim_predicts_only_masked_patches_and_does_not_see_them() -> None:
    method = method_of(SimMIM, SimMIMSettings())
    hidden = masks_of(method)
    assert hidden.shape == (32, 10)
    seen = []
    method.pixels.register_forward_hook(lambda _, inputs, output: seen.append(output.detach()))
    method(batch_of(digits(), hidden), 0.0)
    changed = other_pixels(digits(), mask_of(hidden))
    loss = method(batch_of(changed, hidden), 0.0).total
    assert seen[0].shape == (32, 10, 4) and torch.equal(*seen)
    patches = changed.unfold(2, 2, 2).unfold(3, 2, 2).reshape(32, 16, 4)
    errors = [(seen[1][i, j] - patches[i, hidden[i, j]]).abs().mean() for i in range(32) for j in range(10)]
    torch.testing.assert_close(loss, torch.stack(errors).mean())


@pytest.mark.parametrize(("size", "square"), [(8, 1), (28, 1), (32, 1), (96, 2), (224, 2)])
def test_simmim_masks_squares_of_two_by_two_patches_on_large_images(size: int, square: int) -> None:
    traits = Traits(3, size, 10, (0.5,) * 3, (0.25,) * 3, True, 1000, 1000)
    draw = SimMIM.collate(SimMIMSettings(), traits)
    hidden = draw(16, torch.Generator().manual_seed(0))
    side = {8: 4, 28: 7, 32: 8, 96: 12, 224: 14}[size]
    mask = torch.zeros(16, side**2, dtype=torch.bool).scatter(1, hidden, True).reshape(16, side, side)
    assert mask.float().mean() == pytest.approx(0.6, abs=0.04)
    if square == 2:
        squares = mask.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3)
        assert torch.equal(squares.all(-1), squares.any(-1))


def test_aim_predicts_a_patch_only_from_the_prefix_and_earlier_patches() -> None:
    method = method_of(AIM, AIMSettings())
    after_prefix = masks_of(method)
    predictions = method.predict(digits(), after_prefix)
    for patch in range(1, 16):
        later = after_prefix & (torch.arange(16) >= patch)
        changed = method.predict(other_pixels(digits(), later), after_prefix)
        # The prediction of patch p has index p - 1; if p is after the prefix, it must not depend on p or later patches.
        rows = after_prefix[:, patch]
        torch.testing.assert_close(changed[rows, patch - 1], predictions[rows, patch - 1], rtol=1e-4, atol=1e-5)
        before = method.predict(other_pixels(digits(), torch.arange(16).expand(32, -1) == patch - 1), after_prefix)
        assert not torch.allclose(before[rows, patch - 1], predictions[rows, patch - 1])


def test_aim_predicts_the_patches_after_the_prefix() -> None:
    method = method_of(AIM, AIMSettings())
    after_prefix = masks_of(method)
    images = digits()
    predictions, errors = method.predict(images, after_prefix), []
    for i in range(32):
        for patch in range(16):
            if after_prefix[i, patch]:
                row, column = 2 * (patch // 4), 2 * (patch % 4)
                pixels = images[i, 0, row : row + 2, column : column + 2].flatten()
                target = (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()
                errors.append(((predictions[i, patch - 1] - target) ** 2).mean())
    torch.testing.assert_close(method(batch_of(images, after_prefix), 0.0).total, torch.stack(errors).mean())


def test_aim_draws_every_prefix_length_equally_often() -> None:
    draw = AIM.collate(AIMSettings(), TRAITS)
    after_prefix = draw(6000, torch.Generator().manual_seed(0))
    lengths = (~after_prefix).sum(1)
    assert torch.equal(after_prefix, torch.arange(16) >= lengths[:, None])
    counts = torch.bincount(lengths, minlength=17)
    assert counts[0] == counts[16] == 0
    assert (counts[1:16] - 400).abs().max() < 5 * 400**0.5


def test_all_patches_attend_to_the_prefix_and_to_earlier_patches() -> None:
    prefix = torch.tensor([[True, True, False, False]])
    assert prefix_causal(prefix)[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_aim_is_evaluated_with_attention_in_both_directions() -> None:
    encoder = method_of(AIM, AIMSettings()).eval().encoder()
    images = digits()
    last = torch.zeros(32, 16, dtype=torch.bool)
    last[:, 15] = True
    first, second = encoder.feature_map(images), encoder.feature_map(other_pixels(images, last))
    assert (first - second)[:, :, 0, 0].norm() > 1e-3


@pytest.mark.parametrize(("cls", "settings"), METHODS)
def test_masks_depend_only_on_the_generator(cls: type[Method], settings: Any) -> None:
    method = method_of(cls, settings)

    def drawn(seed: int) -> list[Tensor]:
        masks = masks_of(method, seed)
        return [masks] if isinstance(masks, Tensor) else list(masks)

    first = drawn(0)
    torch.manual_seed(5)
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(0), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, drawn(1), strict=True))


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (96, 3)])
@pytest.mark.parametrize(("cls", "settings"), METHODS)
def test_every_image_size_works(cls: type[Method], settings: Any, size: int, channels: int) -> None:
    traits = Traits(channels, size, 10, (0.5,) * channels, (0.25,) * channels, True, 1000, 1000)
    method = method_of(cls, settings, traits)
    batch = Batch([torch.randn(32, channels, size, size)], masks_of(method), torch.arange(32), None, torch.Generator())
    loss = method(batch, 0.0).total
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize(("cls", "settings"), METHODS)
def test_state_dict_contains_the_backbone_once(cls: type[Method], settings: Any) -> None:
    method = method_of(cls, settings)
    keys = list(method.state_dict())
    assert len([key for key in keys if key.endswith("patch_embed.proj.weight")]) == 1
    assert len({value.data_ptr() for value in method.state_dict().values()}) == len(keys)
