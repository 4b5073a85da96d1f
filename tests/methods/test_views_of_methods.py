"""The views of each method respect the data set's traits."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

from methods.autoencoder import Autoencoder
from methods.barlow_twins import BarlowTwins
from methods.base import Method
from methods.byol import BYOL
from methods.simclr import SimCLR
from methods.supervised import Supervised
from methods.traits import Traits
from methods.vae import VAE

TWO_VIEWS = [SimCLR, BYOL, BarlowTwins]


def traits_of(size: int, channels: int, flip: bool) -> Traits:
    return Traits(channels, size, 10, (0.4,) * channels, (0.3,) * channels, flip, 1000, 1000)


def steps_of(pipeline: Any) -> str:
    return "\n".join(repr(vars(step)) + repr(step) for view in pipeline.transforms for step in flat(view))


def flat(view: Any) -> list[Any]:
    inner = view.transforms if hasattr(view, "transforms") else view.transform.transforms
    return list(inner)


def digit() -> Image.Image:
    return Image.fromarray((load_digits().images[0] * 15).astype(np.uint8))


def photograph(size: int) -> Image.Image:
    return Image.fromarray(load_sample_image("flower.jpg")).resize((size, size))


@pytest.mark.parametrize("cls", [*TWO_VIEWS, Supervised, Autoencoder, VAE])
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3), (96, 3)])
def test_views_are_unnormalised_tensors_of_the_data_sets_size(cls: type[Method], size: int, channels: int) -> None:
    image = digit() if channels == 1 else photograph(size)
    views = cls.views(cls.Settings(), traits_of(size, channels, False))(image)
    assert len(views) == (2 if cls in TWO_VIEWS else 1)
    for view in views:
        assert view.shape == (channels, size, size)
        assert view.dtype == torch.float32
        assert view.min() >= 0.0 and view.max() <= 1.0


@pytest.mark.parametrize("cls", [Autoencoder, VAE])
def test_reconstruction_methods_see_the_unchanged_image(cls: type[Method]) -> None:
    (view,) = cls.views(cls.Settings(), traits_of(8, 1, False))(digit())
    torch.testing.assert_close(view[0], torch.from_numpy(np.array(digit())).float() / 255.0)


@pytest.mark.parametrize("cls", [*TWO_VIEWS, Supervised])
@pytest.mark.parametrize("flip", [True, False])
def test_images_are_mirrored_only_if_the_data_set_allows_it(cls: type[Method], flip: bool) -> None:
    """Crops and colour changes keep the direction of a ramp; only a flip or solarisation reverses it."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (lightly draws from numpy's global generator)
    random.seed(0)
    ramp = Image.fromarray(np.tile(np.linspace(60, 120, 32, dtype=np.uint8), (32, 1)))
    pipeline = cls.views(cls.Settings(), traits_of(32, 1, flip))
    reversed_ramps = sum(
        bool(v[0, 4:28, 20:28].mean() < v[0, 4:28, 4:12].mean() - 1e-3) for _ in range(200) for v in [pipeline(ramp)[0]]
    )
    assert (reversed_ramps > 40) == flip
    if not flip:
        assert reversed_ramps == 0


@pytest.mark.parametrize("cls", TWO_VIEWS)
def test_no_colour_on_one_channel_and_no_blur_up_to_32_pixels(cls: type[Method]) -> None:
    def probabilities(size: int, channels: int) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {"hue": [], "saturation": [], "grey": [], "blur": []}
        for view in cls.views(cls.Settings(), traits_of(size, channels, True)).transforms:  # type: ignore[attr-defined]
            for step in flat(view):
                name = type(step).__name__
                if name == "RandomGrayscale":
                    found["grey"].append(step.p)
                elif name == "GaussianBlur":
                    found["blur"].append(step.prob)
                elif name == "RandomApply":
                    found["hue"].append(step.transforms[0].hue)
                    found["saturation"].append(step.transforms[0].saturation)
        return found

    grey = probabilities(28, 1)
    assert grey["hue"] == grey["saturation"] == [None, None]
    assert grey["grey"] == grey["blur"] == [0.0, 0.0]
    colour = probabilities(96, 3)
    assert None not in colour["hue"] + colour["saturation"]
    assert all(p > 0 for p in colour["grey"] + colour["blur"])
