"""Label-free measures against their formulas, on digits."""

import math

import numpy as np
import pytest
import torch

from protocols.base import Task
from protocols.catalogue import COLLAPSED, load, resolve
from protocols.labelfree import feature_std, rankme
from protocols.parts.subsets import fixed_subset


def measure(name: str, task: Task) -> float:
    return load(resolve(name)).predict(task).metrics[name]


def test_rankme_is_the_exponential_entropy_of_the_singular_values(pixels_task: Task) -> None:
    singular = np.linalg.svd(pixels_task.train_features.double().numpy(), compute_uv=False)
    share = singular / singular.sum() + 1e-7
    assert measure("rankme", pixels_task) == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-4)


def test_uniformity_is_the_log_mean_potential_of_all_pairs(pixels_task: Task) -> None:
    unit = torch.nn.functional.normalize(pixels_task.train_features.double(), dim=1)
    expected = torch.pdist(unit).square().mul(-2).exp().mean().log()
    assert measure("uniformity", pixels_task) == pytest.approx(float(expected), rel=1e-9)


def test_feature_std_is_one_for_isotropic_features_and_zero_for_constant_ones(pixels_task: Task) -> None:
    cloud = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    assert feature_std(cloud) == pytest.approx(1, abs=0.01)
    assert feature_std(torch.ones(50, 64)) == pytest.approx(0, abs=1e-9)


def test_alignment_is_the_mean_squared_distance_of_two_views(network_task: Task) -> None:
    assert network_task.encoder is not None
    chosen = fixed_subset(len(network_task.train_images), 10_000).sort().values
    generator = network_task.generator("alignment")
    encoder, distances = network_task.encoder(), []
    with torch.no_grad():
        for part in chosen.split(256):
            views = network_task.augment(network_task.train_images[part], "views", generator)
            one, two = (encoder.features(network_task.prepare(view)).double() for view in views)
            distances.append(
                (one / one.norm(dim=1, keepdim=True) - two / two.norm(dim=1, keepdim=True)).norm(dim=1) ** 2
            )
    assert measure("alignment", network_task) == pytest.approx(float(torch.cat(distances).mean()), rel=1e-5)
    assert measure("alignment", network_task) > 0


def test_pixels_and_a_random_network_have_not_collapsed(pixels_task: Task, network_task: Task) -> None:
    for task in (pixels_task, network_task):
        assert all(measure(name, task) > threshold for name, threshold in COLLAPSED.items())


@pytest.mark.parametrize("dim", [2, 128, 2000])
def test_degenerate_features_have_finite_measures_below_the_thresholds(dim: int) -> None:
    weights = torch.linspace(-1, 1, 500)[:, None]
    line = torch.linspace(1, 2, dim)[None]
    degenerate = {
        "constant": torch.full((500, dim), 3.7),
        "of norm zero": torch.zeros(500, dim),
        "constant except one": torch.cat([torch.zeros(499, dim), torch.ones(1, dim)]),
        "of rank one": weights * line,
        "of rank one, large": 1e6 * weights * line,
    }
    for name, features in degenerate.items():
        values = {"rankme": rankme(features), "feature_std": feature_std(features)}
        assert all(math.isfinite(value) and 0 <= value < 10 for value in values.values()), name
        assert values["rankme"] < COLLAPSED["rankme"], name
        if name in ("constant", "of norm zero"):
            assert values["feature_std"] < COLLAPSED["feature_std"], name


def test_the_fixed_subset_is_the_same_every_time_and_never_too_large() -> None:
    assert torch.equal(fixed_subset(60_000, 10_000), fixed_subset(60_000, 10_000))
    assert len(fixed_subset(60_000, 10_000).unique()) == 10_000
    assert torch.equal(fixed_subset(7, 10_000).sort().values, torch.arange(7))


def test_alignment_without_a_network_is_refused(without_network: Task) -> None:
    with pytest.raises(ValueError, match="has none"):
        measure("alignment", without_network)
