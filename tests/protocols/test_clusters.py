"""k-means against scikit-learn, the scores of clusters against scikit-learn and all permutations, and degenerate features."""

import base64
import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as Reference
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch import Tensor
from torch.nn.functional import normalize

from bench.data.dataset import SealedLabels
from bench.evaluation.score import Scores, score
from protocols.base import NotFinite, Predictions, Task
from protocols.catalogue import CLUSTERING, load, resolve
from protocols.parts import kmeans as kmeans_module
from protocols.parts import rows as rows_module
from protocols.parts.kmeans import Clustering, KMeans


def kmeans(rows: Tensor, count: int, starts: int = 10, seed: int = 0) -> Clustering:
    return KMeans(rows, count, starts, torch.Generator().manual_seed(seed)).fit(300)


def scored(clusters: Tensor, labels: Tensor, classes: int = 10) -> Scores:
    return score(Predictions(clusters=clusters), SealedLabels(labels), classes)


def predicted(task: Task) -> Predictions:
    return load(resolve("clusters")).predict(task)


@pytest.mark.parametrize("network", [False, True])
def test_the_inertia_is_that_of_scikit_learn(network: bool, make_task: Callable[..., Task]) -> None:
    task = make_task(network=network)
    found = predicted(task)
    unit = normalize(task.test_features, dim=1)
    reference = Reference(10, n_init=CLUSTERING["starts"], random_state=0).fit(unit.double().numpy())
    assert found.choices["inertia"] <= 1.005 * reference.inertia_
    assert found.choices["converged"]
    # The inertia belongs to the clusters, and no row is nearer to another centre.
    centres = torch.stack([unit[found.clusters == number].double().mean(dim=0) for number in range(10)])
    distances = torch.cdist(unit.double(), centres).square()
    assert found.choices["inertia"] == pytest.approx(float(distances.amin(dim=1).sum()), rel=1e-4)
    assert float((distances.argmin(dim=1) == found.clusters).double().mean()) > 0.999


def test_the_same_seed_gives_the_same_clusters(pixels_task: Task) -> None:
    assert torch.equal(predicted(pixels_task).clusters, predicted(pixels_task).clusters)


@pytest.mark.parametrize("at_once", [7, 100])
def test_rows_in_blocks_give_the_same_clusters(
    at_once: int, pixels_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predicted(pixels_task)
    monkeypatch.setattr(kmeans_module, "PAIRS_AT_ONCE", 100 * at_once)
    monkeypatch.setattr(rows_module, "MOST_NUMBERS", 0)
    parts = predicted(pixels_task)
    assert parts.choices["inertia"] == pytest.approx(whole.choices["inertia"], rel=1e-3)
    assert adjusted_rand_score(whole.clusters, parts.clusters) > 0.95


def test_the_scores_are_those_of_scikit_learn_and_of_the_best_of_all_permutations() -> None:
    labels = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(0))
    noise = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(1))
    clusters = torch.where(torch.arange(200) % 3 == 0, noise, (labels + 2) % 5)
    found = scored(clusters, labels, 5)
    best = max(
        float((torch.tensor(order)[clusters] == labels).double().mean()) for order in itertools.permutations(range(5))
    )
    assert found.metrics["top1"] == pytest.approx(best)
    assert found.metrics["nmi"] == pytest.approx(normalized_mutual_info_score(labels, clusters))
    assert found.metrics["ari"] == pytest.approx(adjusted_rand_score(labels, clusters))
    assert found.draws == [found.metrics]


@pytest.mark.parametrize(("clusters", "top1"), [([0, 0, 0, 0], 0.5), ([3, 1, 0, 2], 0.5), ([7, 7, 0, 0], 1.0)])
def test_fewer_or_more_clusters_than_classes(clusters: list[int], top1: float) -> None:
    found = scored(torch.tensor(clusters), torch.tensor([0, 0, 1, 1]), 2)
    assert found.metrics["top1"] == top1


def test_stored_answers_are_the_images_that_are_right_under_the_assignment() -> None:
    found = scored(torch.tensor([1, 1, 1, 0]), torch.tensor([0, 0, 1, 1]), 2)
    assert found.correct == [base64.b64encode(bytes([0b11010000])).decode()]


@pytest.mark.parametrize("clusters", [torch.zeros(3).long(), torch.zeros(4), torch.tensor([0, -1, 0, 0])])
def test_impossible_clusters_are_refused(clusters: Tensor) -> None:
    with pytest.raises(ValueError, match="clusters"):
        scored(clusters, torch.tensor([0, 0, 1, 1]), 2)


def test_shuffled_test_labels_give_chance(pixels_task: Task, test_labels: Tensor) -> None:
    clusters = predicted(pixels_task).clusters
    assert clusters is not None
    shuffles = [torch.randperm(len(test_labels), generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    found = [scored(clusters, test_labels[order]).metrics for order in shuffles]
    adjusted = [metrics["ari"] for metrics in found]
    assert abs(np.mean(adjusted)) <= 4 * np.std(adjusted, ddof=1) / np.sqrt(20)
    # The best of all assignments is above one in ten also by chance.
    assert np.mean([metrics["top1"] for metrics in found]) < 0.2
    assert scored(clusters, test_labels).metrics["top1"] > 0.6


def test_the_true_classes_as_clusters_are_perfect(test_labels: Tensor) -> None:
    found = scored((test_labels + 3) % 10, test_labels).metrics
    assert found == pytest.approx({"top1": 1.0, "mean_class": 1.0, "nmi": 1.0, "ari": 1.0})


@pytest.mark.parametrize("distinct", [1, 4])
def test_fewer_different_features_than_classes_leave_clusters_empty(distinct: int, pixels_task: Task) -> None:
    points = torch.eye(distinct, 6)[torch.arange(len(pixels_task.test_features)) % distinct]
    found = predicted(replace(pixels_task, test_features=points))
    assert found.clusters is not None
    assert found.choices["empty"] == 10 - distinct
    assert found.choices["inertia"] == pytest.approx(0, abs=1e-3)
    assert adjusted_rand_score(torch.arange(len(points)) % distinct, found.clusters) == 1.0


@pytest.mark.parametrize("count", [1, 2, 9])
def test_fewer_images_than_classes(count: int, pixels_task: Task) -> None:
    found = predicted(replace(pixels_task, test_features=pixels_task.test_features[:count]))
    assert found.clusters is not None
    assert len(found.clusters.unique()) == count


def test_one_class_is_one_cluster(pixels_task: Task) -> None:
    found = predicted(replace(pixels_task, classes=1)).clusters
    assert found is not None
    assert not found.any()
    assert scored(found, torch.zeros_like(found), 1).metrics["top1"] == 1.0


def test_features_of_norm_zero_are_a_cluster_of_their_own(pixels_task: Task) -> None:
    features = pixels_task.test_features.clone()
    features[:50] = 0
    found = predicted(replace(pixels_task, test_features=features)).clusters
    assert found is not None
    assert len(found[:50].unique()) == 1
    assert not torch.isin(found[50:], found[:1]).any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(value: float, pixels_task: Task) -> None:
    features = pixels_task.test_features.clone()
    features[3, 3] = value
    with pytest.raises(NotFinite, match="clusters: features contain values that are not finite"):
        predicted(replace(pixels_task, test_features=features))


def test_a_cluster_without_rows_gets_the_farthest_row(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.eye(3).repeat_interleave(20, 0) + 0.01 * torch.randn(60, 3, generator=generator)
    # No row is near the last centre.
    centres = torch.stack([rows[0], rows[20], torch.full((3,), -9.0)])
    monkeypatch.setattr(KMeans, "_first_centres", lambda self: centres.expand(self.starts, -1, -1))
    found = kmeans(rows, 3, starts=2)
    assert adjusted_rand_score(torch.arange(60) // 20, found.clusters) == 1.0
    assert found.converged
