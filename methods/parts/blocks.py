"""Blocks of patches: a large context and small targets cut out of it, for a whole batch at once.

lightly's ``IJEPAMaskCollator`` has the authors' faults, which weigh on small wide_table: no block ever reaches the last row or column (its
place is drawn below ``height - h``, so that of 7×7 patches those 13 are never seen nor predicted), contexts are brought to one length by cutting
off their end, the lower part of the image, and it loops for ever where a target has fewer patches than ``min_keep``.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """How blocks are drawn [I-JEPA, section 3 and appendix A.1].

    Attributes:
        targets: Blocks to predict in an image; they may overlap.
        target_scale: Their share of the patches.
        target_aspect: Their height over their width.
        context_scale: Share of the patches of the square context, before the targets are cut out of it.
        context_least: Share of the patches that is left of it at least; else the image's blocks are drawn anew.
    """

    targets: int = 4
    target_scale: tuple[float, float] = (0.15, 0.2)
    target_aspect: tuple[float, float] = (0.75, 1.5)
    context_scale: tuple[float, float] = (0.85, 1.0)
    context_least: float = 1 / 3

    def draw(
        self, batch: int, side: int, generator: torch.Generator
    ) -> tuple[Int[Tensor, "batch context"], list[Int[Tensor, "batch patches"]]]:
        """Return the patches of each context and of each target, for a grid of ``side`` × ``side`` patches.

        One size of blocks a batch, as the authors have it. Contexts are brought to the length of the smallest by leaving out patches at random.
        """
        area = side**2 * _between(self.target_scale, generator)
        aspect = _between(self.target_aspect, generator)
        size = _side(math.sqrt(area * aspect), side), _side(math.sqrt(area / aspect), side)
        edge = _side(side * math.sqrt(_between(self.context_scale, generator)), side)
        least = math.ceil(self.context_least * side**2)

        context = torch.zeros(batch, side**2, dtype=torch.bool)
        targets = torch.zeros(batch, self.targets, size[0] * size[1], dtype=torch.int64)
        short = torch.arange(batch)
        while len(short):
            places = _places(len(short), self.targets, size, side, generator)
            hidden = torch.zeros(len(short), side**2, dtype=torch.bool).scatter_(1, places.flatten(1), True)
            whole = _places(len(short), 1, (edge, edge), side, generator).flatten(1)
            left = torch.zeros_like(hidden).scatter_(1, whole, True) & ~hidden
            context[short], targets[short] = left, places
            short = short[left.sum(1) < least]
        return _as_many(context, generator), list(targets.unbind(1))


def _between(limits: tuple[float, float], generator: torch.Generator) -> float:
    return limits[0] + (limits[1] - limits[0]) * float(torch.rand(1, generator=generator))


def _side(length: float, largest: int) -> int:
    return min(max(1, round(length)), largest)


def _places(
    batch: int, count: int, size: tuple[int, int], side: int, generator: torch.Generator
) -> Int[Tensor, "batch count patches"]:
    """Return the patches of ``count`` blocks, each place on the grid as likely as any other."""
    top = torch.randint(0, side - size[0] + 1, (batch, count, 1, 1), generator=generator)
    left = torch.randint(0, side - size[1] + 1, (batch, count, 1, 1), generator=generator)
    rows, columns = top + torch.arange(size[0])[:, None], left + torch.arange(size[1])
    return (rows * side + columns).flatten(2)


def _as_many(chosen: Bool[Tensor, "batch patches"], generator: torch.Generator) -> Int[Tensor, "batch fewest"]:
    """Return as many of the chosen patches of each image as the image with the fewest has, at random and in order."""
    order = torch.rand(chosen.shape, generator=generator).masked_fill_(~chosen, -1.0)
    return order.topk(int(chosen.sum(1).min()), dim=1).indices.sort(dim=1).values
