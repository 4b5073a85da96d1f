"""The program of one view: its steps, and where its crop lies if a method asks for that."""

from dataclasses import dataclass

from torch import Tensor

from bench.views.crop import RandomResizedCrop
from bench.views.step import Pictures, Step, Uniforms, run_steps


@dataclass(frozen=True)
class Program:
    """What makes one view of an image; equal programs are the same distribution.

    Attributes:
        steps: One after another.
        grid: Cells a side of the grid of places that is returned beside the view, whose first step is a random crop; None for none.
    """

    steps: tuple[Step, ...]
    grid: int | None = None

    @property
    def uniforms(self) -> int:
        """Return how many uniform numbers an image needs."""
        return sum(step.uniforms for step in self.steps)

    def __call__(self, images: Pictures, uniforms: Uniforms) -> tuple[Tensor, ...]:
        """Return the views, and with ``grid`` the places."""
        height, width = images.shape[2:]
        view = run_steps(self.steps, images, uniforms)
        if self.grid is None:
            return (view,)
        crop = self.steps[0]
        assert isinstance(crop, RandomResizedCrop)
        return view, crop.places(uniforms[:, : crop.uniforms], height, width, self.grid)
