"""``--views``: when it changes a run's identity, and that both engines lead to the same accuracy."""

from pathlib import Path

import pytest
import torch
from scipy.stats import ttest_ind
from support.in_process import options_of, perform, wanted_runs
from torchvision.transforms import v2

from bench.errors import SslbenchError
from bench.planning.request import Request, ViewsEngine
from bench.records.store import Store

PROTOCOLS = ("linear", "lowshot-1-frozen")


def settings_of(method: str, views: ViewsEngine) -> dict[str, object]:
    (run,) = wanted_runs(Request((method,), views=views), options_of(Path("results")))
    return dict(run.identity.settings)


@pytest.mark.parametrize(
    ("method", "views", "settings"),
    [
        ("simclr", "auto", {}),
        ("simclr", "batched", {}),
        ("simclr", "per-sample", {"views": "per-sample"}),
        ("pirl", "batched", {}),
        ("random_init", "per-sample", {}),
        ("random_init", "batched", {}),
    ],
)
def test_only_views_that_differ_from_the_default_change_the_settings(method, views, settings):
    assert settings_of(method, views) == settings


def test_a_transform_that_cannot_be_batched_is_drawn_image_by_image_and_batched_is_an_error(monkeypatch):
    pipeline = v2.Compose([v2.RandomPosterize(4), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    monkeypatch.setattr("methods.simclr.SimCLR.views", lambda settings, traits: pipeline)
    assert settings_of("simclr", "auto") == settings_of("simclr", "per-sample") == {}
    with pytest.raises(
        SslbenchError, match=r"--views batched: the views of simclr can only be drawn image by image \(RandomPosterize"
    ):
        settings_of("simclr", "batched")


@pytest.mark.slow
def test_both_engines_lead_to_the_same_accuracy(tmp_path):
    """SimCLR, three seeds per engine: Welch's test finds no difference, and the scores vary so little that it would find one."""
    scores: dict[str, dict[str, list[float]]] = {}
    for views in ("batched", "per-sample"):
        accuracies = {name: [] for name in PROTOCOLS}
        for seed in range(3):
            record = perform(Store(tmp_path), "simclr", budget="20ep", seeds=(seed,), views=views, protocols=PROTOCOLS)
            assert record.status == "ok"
            for name in PROTOCOLS:
                accuracies[name].append(record.protocols[name].metrics["top1"])
        scores[views] = accuracies
    for name in PROTOCOLS:
        batched, per_sample = scores["batched"][name], scores["per-sample"][name]
        assert ttest_ind(batched, per_sample, equal_var=False).pvalue > 0.01, scores
    # The spread is small enough for the test to see a pipeline that teaches less: two points of `linear`.
    assert max(scores["batched"]["linear"]) - min(scores["batched"]["linear"]) < 2
