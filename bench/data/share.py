"""The images that pretraining sees: all of ``train`` and ``unlabelled``, or a fixed share of them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bench.data.dataset import Dataset
from bench.data.splits import at_least_one, permutation
from methods.traits import Traits


def seen(dataset: Dataset, share: float | None, *, labels: bool = False) -> Int[Tensor, " seen"]:
    """Return the positions in ``train`` followed by ``unlabelled``, in rising order.

    One seeded permutation of all of them; a share is its first part. So a smaller share lies in a larger one, and both are the same
    for every method and seed.

    Args:
        dataset: The data set.
        share: Of all images, in (0, 1]; None for all.
        labels: The training needs labels: only ``train`` without ``val`` is seen, of the share likewise.
    """
    positions = torch.arange(dataset.traits.images)
    if share is not None:
        count = at_least_one(len(positions), Fraction(str(share)))
        positions = torch.from_numpy(np.sort(permutation(len(positions), "share")[:count]))
    return positions[torch.isin(positions, dataset.fit)] if labels else positions


def seen_traits(dataset: Dataset, share: float | None, *, labels: bool = False) -> Traits:
    """Return the traits for a method: with a share, the numbers of images are those that it sees."""
    if share is None:
        return dataset.traits
    positions = seen(dataset, share, labels=labels)
    of_train = int((positions < len(dataset.train_labels)).sum())
    return replace(dataset.traits, images=len(positions), train=of_train)
