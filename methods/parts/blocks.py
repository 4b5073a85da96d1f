"""Block masks of I-JEPA: a large context block, from which small target blocks are removed, for a whole batch at once.

lightly's ``IJEPAMaskCollator`` repeats three faults of the authors' code, which matter on small grids. No block reaches
the last row or column, because its position is drawn below ``height - h``: of 7×7 patches, those 13 are never seen nor
predicted. Contexts are cut to one length at their end, which is the lower part of the image. It loops forever if a
target has fewer patches than ``min_keep``.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """Draws context and target blocks [I-JEPA, section 3 and appendix A.1].

    Attributes:
        targets: Number of blocks to predict per image; they may overlap.
        target_scale: Smallest and largest area of a target, as a fraction of all patches.
        target_aspect: Smallest and largest height of a target divided by its width.
        context_scale: Smallest and largest area of the square context, as a fraction of all patches, before the targets
            are removed.
        min_context: Smallest context without the targets, as a fraction of all patches; below it the image's blocks are
            drawn again.
    """

    targets: int = 4
    target_scale: tuple[float, float] = (0.15, 0.2)
    target_aspect: tuple[float, float] = (0.75, 1.5)
    context_scale: tuple[float, float] = (0.85, 1.0)
    min_context: float = 1 / 3

    def draw(
        self, batch: int, side: int, generator: torch.Generator
    ) -> tuple[Int[Tensor, "batch context"], list[Int[Tensor, "batch patches"]]]:
        """Return the patch indices of each context and each target on a grid of ``side`` × ``side`` patches.

        Blocks have the same size in the whole batch, as in the authors' code. Contexts are reduced to the length of the
        smallest one by dropping patches at random.
        """
        area = side**2 * _between(self.target_scale, generator)
        aspect = _between(self.target_aspect, generator)
        size = _side(math.sqrt(area * aspect), side), _side(math.sqrt(area / aspect), side)
        edge = _side(side * math.sqrt(_between(self.context_scale, generator)), side)
        fewest = math.ceil(self.min_context * side**2)

        context = torch.zeros(batch, side**2, dtype=torch.bool)
        targets = torch.zeros(batch, self.targets, size[0] * size[1], dtype=torch.int64)
        redraw = torch.arange(batch)
        while len(redraw):
            blocks = _random_blocks(len(redraw), self.targets, size, side, generator)
            hidden = torch.zeros(len(redraw), side**2, dtype=torch.bool).scatter_(1, blocks.flatten(1), True)
            square = _random_blocks(len(redraw), 1, (edge, edge), side, generator).flatten(1)
            left = torch.zeros_like(hidden).scatter_(1, square, True) & ~hidden
            context[redraw], targets[redraw] = left, blocks
            redraw = redraw[left.sum(1) < fewest]
        return _same_length(context, generator), list(targets.unbind(1))


def _between(limits: tuple[float, float], generator: torch.Generator) -> float:
    return limits[0] + (limits[1] - limits[0]) * float(torch.rand(1, generator=generator))


def _side(length: float, largest: int) -> int:
    return min(max(1, round(length)), largest)


def _random_blocks(
    batch: int, count: int, size: tuple[int, int], side: int, generator: torch.Generator
) -> Int[Tensor, "batch count patches"]:
    """Return the patch indices of ``count`` blocks per image; every position on the grid is equally likely."""
    top = torch.randint(0, side - size[0] + 1, (batch, count, 1, 1), generator=generator)
    left = torch.randint(0, side - size[1] + 1, (batch, count, 1, 1), generator=generator)
    rows, columns = top + torch.arange(size[0])[:, None], left + torch.arange(size[1])
    return (rows * side + columns).flatten(2)


def _same_length(chosen: Bool[Tensor, "batch patches"], generator: torch.Generator) -> Int[Tensor, "batch fewest"]:
    """Return a random subset of each image's chosen patches, sorted, as long as the smallest choice in the batch."""
    order = torch.rand(chosen.shape, generator=generator).masked_fill_(~chosen, -1.0)
    return order.topk(int(chosen.sum(1).min()), dim=1).indices.sort(dim=1).values
