"""Label-free figures against their formulas, on digits."""

import math

import numpy as np
import pytest
import torch

from protocols.base import Task
from protocols.catalogue import COLLAPSED, load, resolve
from protocols.labelfree import feature_std, rankme
from protocols.parts.subsets import fixed_subset


def figure(name: str, task: Task) -> float:
    return load(resolve(name)).predict(task).metrics[name]


def test_rankme_is_the_exponential_entropy_of_the_singular_values(pixels_task: Task) -> None:
    singular = np.linalg.svd(pixels_task.train_features.double().numpy(), compute_uv=False)
    share = singular / singular.sum() + 1e-7
    assert figure("rankme", pixels_task) == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-4)


def test_uniformity_is_the_log_mean_potential_of_all_pairs(pixels_task: Task) -> None:
    unit = torch.nn.functional.normalize(pixels_task.train_features.double(), dim=1)
    expected = torch.pdist(unit).square().mul(-2).exp().mean().log()
    assert figure("uniformity", pixels_task) == pytest.approx(float(expected), rel=1e-9)


def test_feature_std_is_one_for_an_isotropic_cloud_and_zero_for_a_point(pixels_task: Task) -> None:
    cloud = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    assert feature_std(cloud) == pytest.approx(1, abs=0.01)
    assert feature_std(torch.ones(50, 64)) == pytest.approx(0, abs=1e-9)


def test_alignment_is_the_mean_squared_distance_of_two_views(network_task: Task) -> None:
    assert network_task.encoder is not None
    some = fixed_subset(len(network_task.train_images), 10_000).sort().values
    generator = network_task.generator("alignment")
    encoder, gaps = network_task.encoder(), []
    with torch.no_grad():
        for part in some.split(256):
            views = network_task.augment(network_task.train_images[part], "views", generator)
            one, two = (encoder.features(network_task.prepare(view)).double() for view in views)
            gaps.append((one / one.norm(dim=1, keepdim=True) - two / two.norm(dim=1, keepdim=True)).norm(dim=1) ** 2)
    assert figure("alignment", network_task) == pytest.approx(float(torch.cat(gaps).mean()), rel=1e-5)
    assert figure("alignment", network_task) > 0


def test_pixels_and_a_random_network_have_not_collapsed(pixels_task: Task, network_task: Task) -> None:
    for task in (pixels_task, network_task):
        assert all(figure(name, task) > threshold for name, threshold in COLLAPSED.items())


@pytest.mark.parametrize("dim", [2, 128, 2000])
def test_degenerate_features_have_finite_figures_below_the_thresholds(dim: int) -> None:
    weights = torch.linspace(-1, 1, 500)[:, None]
    line = torch.linspace(1, 2, dim)[None]
    degenerate = {
        "constant": torch.full((500, dim), 3.7),
        "of norm zero": torch.zeros(500, dim),
        "constant but for one": torch.cat([torch.zeros(499, dim), torch.ones(1, dim)]),
        "of rank one": weights * line,
        "of rank one, large": 1e6 * weights * line,
    }
    for name, features in degenerate.items():
        figures = {"rankme": rankme(features), "feature_std": feature_std(features)}
        assert all(math.isfinite(value) and 0 <= value < 10 for value in figures.values()), name
        assert figures["rankme"] < COLLAPSED["rankme"], name
        if name in ("constant", "of norm zero"):
            assert figures["feature_std"] < COLLAPSED["feature_std"], name


def test_the_same_images_serve_every_run_and_never_more_than_wanted() -> None:
    assert torch.equal(fixed_subset(60_000, 10_000), fixed_subset(60_000, 10_000))
    assert len(fixed_subset(60_000, 10_000).unique()) == 10_000
    assert torch.equal(fixed_subset(7, 10_000).sort().values, torch.arange(7))


def test_alignment_without_a_network_is_refused(without_network: Task) -> None:
    with pytest.raises(ValueError, match="has none"):
        figure("alignment", without_network)
