"""Corruptions against scipy, kornia and torchvision on grey and colour images of 8 to 224 pixels, and the protocol that uses them."""

from collections.abc import Callable
from dataclasses import replace

import kornia
import numpy as np
import pytest
import scipy.ndimage
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms.v2 import functional

from protocols.base import Task
from protocols.catalogue import CORRUPTION_STRENGTHS, load, resolve
from protocols.parts.corruptions import CORRUPTIONS, SIDE, blur, brightness, contrast, noise, shift


def images(side: int, channels: int) -> Tensor:
    """Crops of two photographs."""
    photographs = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2)
    crops = functional.resize(photographs[:, :, :400, :400], [side, side], antialias=True)
    return crops if channels == 3 else functional.rgb_to_grayscale(crops)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


SIZES = pytest.mark.parametrize(("side", "channels"), [(8, 1), (28, 1), (32, 3), (224, 3)])


@SIZES
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_stronger_corruption_is_farther_from_the_image(name: str, side: int, channels: int) -> None:
    original = images(side, channels)
    strengths = sorted(CORRUPTION_STRENGTHS[name], reverse=name == "contrast")
    assert CORRUPTION_STRENGTHS[name] == tuple(strengths)
    distances = []
    for strength in strengths:
        corrupted = CORRUPTIONS[name](original, strength, generator())
        assert corrupted.dtype == torch.uint8
        assert corrupted.shape == original.shape
        assert torch.equal(corrupted, CORRUPTIONS[name](original, strength, generator()))
        distances.append(float((corrupted.float() - original.float()).abs().mean()))
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_images_stay_in_the_range(name: str, value: int) -> None:
    plain = torch.full((4, 3, 8, 8), value, dtype=torch.uint8)
    corrupted = CORRUPTIONS[name](plain, CORRUPTION_STRENGTHS[name][2], generator())
    expected = {"noise": None, "brightness": 76 if value == 0 else 255}.get(name, value)
    if expected is None:
        # Clipped, not wrapped around: half of the pixels keep their value.
        assert float((corrupted == value).double().mean()) == pytest.approx(0.5, abs=0.06)
    else:
        assert bool((corrupted == expected).all())


def test_noise_has_its_standard_deviation_and_is_independent_in_every_pixel() -> None:
    grey = torch.full((100, 3, 32, 32), 128, dtype=torch.uint8)
    added = (noise(grey, 0.1, generator()).double() - 128) / 255
    assert float(added.std()) == pytest.approx(0.1, rel=0.01)
    assert float(added.mean()) == pytest.approx(0, abs=1e-3)
    across = torch.corrcoef(
        torch.stack([added[:, 0].flatten(), added[:, 1].flatten(), added[:, 0].roll(1, 2).flatten()])
    )
    assert float((across - torch.eye(3)).abs().max()) < 0.01


@SIZES
@pytest.mark.parametrize("strength", [0.2, *CORRUPTION_STRENGTHS["blur"]])
def test_the_blur_is_scipys_and_kornias(side: int, channels: int, strength: float) -> None:
    original = images(side, channels)
    deviation = strength * (side / SIDE) ** 0.5
    expected = scipy.ndimage.gaussian_filter(original.double().numpy(), (0, 0, deviation, deviation), mode="nearest")
    found = blur(original, strength, generator())
    assert np.abs(found.numpy() - expected).max() <= 0.51
    kernel = 2 * int(4 * deviation + 0.5) + 1
    other = kornia.filters.gaussian_blur2d(
        original.double(), (kernel, kernel), (deviation, deviation), border_type="replicate"
    )
    assert float((found - other).abs().max()) <= 0.51


@SIZES
def test_the_contrast_moves_every_channel_towards_its_mean(side: int, channels: int) -> None:
    original = images(side, channels)
    found = contrast(original, 0.3, generator())
    values = original.double()
    mean = values.mean(dim=(2, 3), keepdim=True)
    assert float((found - (mean + 0.3 * (values - mean))).abs().max()) <= 0.51
    if channels == 1:
        assert float((found.float() - functional.adjust_contrast(original, 0.3).float()).abs().max()) <= 1


@SIZES
def test_the_brightness_adds_to_the_value_of_hsv(side: int, channels: int) -> None:
    original = images(side, channels)
    original[:, :, 0, 0] = 0
    found = brightness(original, 0.2, generator())
    if channels == 1:
        assert float((found - (original.double() + 51).clamp(max=255)).abs().max()) <= 0.51
        return
    hsv = kornia.color.rgb_to_hsv(original.double() / 255)
    hsv[:, 2] = (hsv[:, 2] + 0.2).clamp(max=1)
    expected = 255 * kornia.color.hsv_to_rgb(hsv)
    assert float((found - expected).abs().max()) <= 0.6


@pytest.mark.parametrize(
    ("side", "strength", "distance"), [(8, 0.125, 1), (8, 0.01, 1), (28, 0.125, 4), (224, 0.375, 84)]
)
def test_a_shift_moves_by_whole_pixels_in_each_of_eight_directions(side: int, strength: float, distance: int) -> None:
    original = images(side, 3)[:1].expand(200, -1, -1, -1)
    found = shift(original, strength, generator()).numpy()
    padded = np.pad(original[0].numpy(), ((0, 0), (distance, distance), (distance, distance)), mode="edge")
    moved = {
        (down, right): padded[:, distance - down * distance :, distance - right * distance :][:, :side, :side]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }
    seen = [next(way for way, image in moved.items() if np.array_equal(image, one)) for one in found]
    assert set(seen) == moved.keys() - {(0, 0)}
    assert min(map(seen.count, set(seen))) > 10


def unchanged(id: str = "linear-corruptions") -> Callable[[Task], list[Tensor]]:
    """The protocol with strengths that change no pixel, except the shift."""
    entry = resolve(id)
    harmless = {"noise": (1e-4,), "blur": (1e-3,), "contrast": (1.0,), "brightness": (0.0,), "shift": (0.125,)}
    return load(replace(entry, constants={**entry.constants, **harmless})).predict


@pytest.mark.parametrize("network", [False, True])
def test_images_without_a_visible_corruption_get_the_predictions_of_linear(
    network: bool, make_task: Callable[..., Task]
) -> None:
    task = make_task(network=network)
    found = unchanged()(task)
    expected = load(resolve("linear")).predict(task).scores[0]
    assert found.conditions == ["noise 0.0001", "blur 0.001", "contrast 1", "brightness 0", "shift 0.125"]
    for block in found.scores[:4]:
        torch.testing.assert_close(block, expected, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(found.scores[4], expected, atol=1)


def test_there_is_a_block_of_predictions_for_every_corruption_and_strength(network_task: Task) -> None:
    found = load(resolve("linear-corruptions")).predict(network_task)
    assert len(found.scores) == len(found.conditions) == len(set(found.conditions)) == 15
    assert found.conditions[:4] == ["noise 0.05", "noise 0.1", "noise 0.2", "blur 0.6"]


def test_every_encoder_gets_the_same_corrupted_images(make_task: Callable[..., Task]) -> None:
    seen: list[list[Tensor]] = []
    for network in (False, True):
        task = make_task(network=network)
        received: list[Tensor] = []

        def features_of(images: Tensor, task: Task = task, received: list[Tensor] = received) -> Tensor:
            received.append(images)
            return task.features_of(images)

        load(resolve("linear-corruptions")).predict(replace(task, features_of=features_of))
        seen.append(received)
    assert len(seen[0]) == 15
    assert all(map(torch.equal, *seen))
