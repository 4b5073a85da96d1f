"""A fixed random subset of images, the same for every run, method and draw."""

import torch
from jaxtyping import Int
from torch import Tensor

SEED = 0


def fixed_subset(count: int, most: int) -> Int[Tensor, " chosen"]:
    """Return the indices of at most ``most`` of ``count`` images, in random order, on the CPU."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(SEED))[:most]
