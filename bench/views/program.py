"""The steps of one view, applied to a whole batch."""

from dataclasses import dataclass

from torch import Tensor

from bench.views.crop import RandomResizedCrop
from bench.views.step import FloatImages, Step, Uniforms, run_steps


@dataclass(frozen=True)
class Program:
    """The steps of one view; equal programs give views of the same distribution.

    Attributes:
        steps: Steps in their order.
        grid: Number of cells along each side of the grid of positions that is also returned; the first step must then be a
            random resized crop. None if there is no grid.
    """

    steps: tuple[Step, ...]
    grid: int | None = None

    @property
    def uniforms(self) -> int:
        """Return the number of uniform random numbers per image."""
        return sum(step.uniforms for step in self.steps)

    def __call__(self, images: FloatImages, uniforms: Uniforms) -> tuple[Tensor, ...]:
        """Return the views and, with ``grid``, the positions of their cells in the image (batch × grid × grid × 2)."""
        height, width = images.shape[2:]
        view = run_steps(self.steps, images, uniforms)
        if self.grid is None:
            return (view,)
        crop = self.steps[0]
        assert isinstance(crop, RandomResizedCrop)
        return view, crop.grid_positions(uniforms[:, : crop.uniforms], height, width, self.grid)
