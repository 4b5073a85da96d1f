"""Shuffled training labels give chance: no protocol gets the true labels by another way."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.short_protocols import shortened
from torch import Tensor

from protocols.base import Task
from protocols.catalogue import ENTRIES, load, resolve

SHUFFLES = 20
ON_REQUEST = ["lowshot-5-mlp", "lowshot-5-frozen-conv", "scratch-5", "pseudolabel-5"]
WITH_SCORES = [id for id, entry in ENTRIES.items() if not entry.label_free]


@pytest.mark.slow
@pytest.mark.parametrize("id", [*WITH_SCORES, *ON_REQUEST])
def test_shuffled_labels_give_chance(id: str, make_task: Callable[..., Task], test_labels: Tensor) -> None:
    true_labels = make_task().train_labels
    protocol = load(shortened(resolve(id)))
    accuracies = []
    for shuffle in range(SHUFFLES):
        shuffled = true_labels[torch.randperm(len(true_labels), generator=torch.Generator().manual_seed(shuffle))]
        # The task draws its label sets from the shuffled labels.
        predictions = protocol.predict(make_task(network=True, labels=shuffled))
        if predictions.clusters is not None:
            # Found without any label, so that nothing changes.
            assert torch.equal(predictions.clusters, protocol.predict(make_task(network=True)).clusters)
            return
        found = predictions.confidences
        answers = predictions.scores[0].argmax(dim=1) if found is None else found.predicted
        accuracies.append(float((answers == test_labels).double().mean()))
    # All classes have equal sizes in train and in test, so that chance is exactly one in ten.
    error = np.std(accuracies, ddof=1) / np.sqrt(SHUFFLES)
    assert abs(np.mean(accuracies) - 0.1) <= 4 * error + 1e-12
