"""Folds of the training images: a development task that never contains a test image."""

import numpy as np
import pytest
import torch

from bench.data.development import FOLDS
from bench.data.spec import DatasetSpec
from bench.data.splits import folds
from bench.errors import SslbenchError


def test_each_training_image_of_digits_is_measured_in_exactly_one_fold():
    whole = DatasetSpec("digits").load()
    parts = [DatasetSpec("digits", task="val", fold=number).load() for number in range(1, FOLDS + 1)]
    measured = torch.cat([part.test_images for part in parts])
    assert sorted(image.numpy().tobytes() for image in measured) == sorted(
        image.numpy().tobytes() for image in whole.train_images
    )
    assert len({part.fingerprint for part in parts} | {whole.fingerprint}) == FOLDS + 1
    for number, part in enumerate(parts, 1):
        assert part.name == f"digits-fold-{number}" and part.test_labels.development
        assert (
            len(part.train_images) + len(part.test_images)
            == len(whole.train_images)
            == part.traits.train + len(part.test_images)
        )
        assert len(part.train_images) == len(part.train_labels) and int(part.val.max()) < len(part.train_labels)
        classes = torch.bincount(part.train_labels) / torch.bincount(whole.train_labels)
        assert torch.allclose(classes, torch.tensor(0.8), atol=0.01)


def test_folds_differ_in_size_by_at_most_one_image():
    labels = np.repeat([0, 1, 2], [7, 11, 6])
    found = folds(labels, 5, ["a", "b", "c"])
    assert sorted(np.bincount(found).tolist()) == [4, 5, 5, 5, 5]
    for label in range(3):
        assert np.ptp(np.bincount(found[labels == label], minlength=5)) <= 1


def test_a_class_with_fewer_images_than_folds_is_an_error():
    with pytest.raises(SslbenchError, match="class b has 4 training images, fewer than 5 folds"):
        folds(np.repeat([0, 1], [9, 4]), 5, ["a", "b"])
