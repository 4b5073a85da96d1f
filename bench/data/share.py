"""The images used for pretraining: all of ``train`` and ``unlabelled``, or a fixed share of them."""

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
    """Return the positions of the images used for pretraining, in ``train`` followed by ``unlabelled``, ascending.

    A share is the first part of one fixed permutation: a smaller share is contained in a larger one, and a share is the same for every
    method and seed.

    Args:
        dataset: The data set.
        share: Share of all images, in (0, 1]; None for all.
        labels: Whether pretraining needs labels: then only images of ``train`` without ``val`` are returned, with a share only those of
            the share.
    """
    positions = torch.arange(dataset.traits.images)
    if share is not None:
        count = at_least_one(len(positions), Fraction(str(share)))
        positions = torch.from_numpy(np.sort(permutation(len(positions), "share")[:count]))
    return positions[torch.isin(positions, dataset.fit)] if labels else positions


def seen_traits(dataset: Dataset, share: float | None, *, labels: bool = False) -> Traits:
    """Return the traits for a method; with a share, the numbers of images count only those used for pretraining."""
    if share is None:
        return dataset.traits
    positions = seen(dataset, share, labels=labels)
    train = int((positions < len(dataset.train_labels)).sum())
    return replace(dataset.traits, images=len(positions), train=train)
