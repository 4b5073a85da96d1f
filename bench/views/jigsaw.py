"""Jigsaw of a batch: images cut into tiles, which are augmented independently and shuffled."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bench.views.crop import cut_out
from bench.views.step import FloatImages, Step, Uniforms, run_steps


@dataclass(frozen=True)
class Jigsaw:
    """lightly's ``Jigsaw``: cuts a tile from a random position of every cell of a grid, and shuffles the tiles.

    Attributes:
        side: Number of cells along each side.
        cell: Side of a cell in pixels.
        size: Side of a tile in pixels.
        steps: Steps applied to each tile.
    """

    side: int
    cell: int
    size: int
    steps: tuple[Step, ...]

    @property
    def uniforms(self) -> int:
        """Return, for each tile, two for its position in the cell, one for its position in the order, and those of the steps."""
        return self.side**2 * (3 + sum(step.uniforms for step in self.steps))

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> Float[Tensor, "batch tiles channels size size"]:
        """Return the tiles; raises ValueError if the grid does not fit into the images."""
        batch, channels, height, width = images.shape
        tiles = self.side**2
        if min(height, width) < (self.side - 1) * self.cell + self.size:
            raise ValueError(
                f"a grid of {self.side}x{self.side} cells of {self.cell} pixels does not fit into images of {(height, width)}"
            )
        numbers = uniforms.reshape(batch, tiles, -1)
        largest = self.cell - self.size
        shift = (numbers[:, :, :2] * (largest + 1)).long().clamp_(max=largest)
        corner = torch.arange(tiles, device=images.device)
        top = (corner % self.side) * self.cell + shift[:, :, 0]
        left = (corner // self.side) * self.cell + shift[:, :, 1]
        repeated = images[:, None].expand(-1, tiles, -1, -1, -1).reshape(batch * tiles, channels, height, width)
        cut = cut_out(repeated, top.flatten(), left.flatten(), (self.size, self.size))
        changed = run_steps(self.steps, cut, numbers[:, :, 3:].reshape(batch * tiles, -1))
        order = numbers[:, :, 2].argsort(1)
        changed = changed.view(batch, tiles, *changed.shape[1:])
        return changed[torch.arange(batch, device=images.device)[:, None], order]
