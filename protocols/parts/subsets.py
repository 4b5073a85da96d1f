"""Which images stand for all where a figure needs only some: fixed by seed 0, the same for every run, method and draw."""

import torch
from jaxtyping import Int
from torch import Tensor

SEED = 0


def fixed_subset(count: int, most: int) -> Int[Tensor, " some"]:
    """Return the indices of at most so many of ``count`` images, in an order of their own, on the CPU; no label is looked at."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(SEED))[:most]
