"""The losses of a training: every step's, read from the device a window at a time, and the curve of their means."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bench.errors import Diverged
from methods.base import Loss

CURVE_POINTS = 200


class LossHistory:
    """The total and the named parts of every step's loss.

    Attributes:
        curve: ``step``, ``loss`` and each named part: means over windows of steps, at most 200 points.
        done: Steps so far.
    """

    def __init__(self, steps: int, an_epoch: int) -> None:
        self.steps, self.an_epoch = steps, an_epoch
        self.window = max(1, math.ceil(steps / CURVE_POINTS))
        self.curve: dict[str, list[float]] = {}
        self.done = 0
        self._known: dict[str, Float[Tensor, " steps"]] = {}
        self._waiting: list[dict[str, Tensor]] = []
        self._told = 0

    @property
    def last(self) -> float | None:
        """The last mean that was read, or None."""
        return self.curve["loss"][-1] if self.curve else None

    def add(self, loss: Loss) -> None:
        """Take in one step's loss; it stays on its device until its window is full.

        Raises:
            Diverged: A mean of the window is not finite.
        """
        self._waiting.append({"loss": loss.total.detach(), **{k: v.detach() for k, v in loss.parts.items()}})
        self.done += 1
        if len(self._waiting) == self.window or self.done == self.steps:
            self._read()

    def _read(self) -> None:
        first = self.done - len(self._waiting)
        for name in self._waiting[0]:
            values = self._stacked(name)
            mean = values.mean().item()
            if not math.isfinite(mean):
                raise Diverged(f"{name} became {mean} within the {len(values)} steps before step {self.done}")
            self.curve.setdefault(name, []).append(mean)
            self._known.setdefault(name, torch.empty(self.steps))[first : self.done] = values.cpu()
        self.curve.setdefault("step", []).append(self.done)
        self._waiting = []

    def _stacked(self, name: str, first: int = 0) -> Float[Tensor, " waiting"]:
        return torch.stack([losses[name].float() for losses in self._waiting[first:]])

    def new_epochs(self) -> list[tuple[int, float]]:
        """Return (epoch, from 1; mean loss) of each epoch that has been read whole since the last call."""
        whole = (self.done - len(self._waiting)) // self.an_epoch
        found = [(epoch, self.mean_of(epoch)) for epoch in range(self._told + 1, whole + 1)]
        self._told = whole
        return found

    def mean_of(self, epoch: int) -> float:
        """Return the mean loss of an epoch that is done, from 1; waits for the device where it is not read yet."""
        first, stop, known = (epoch - 1) * self.an_epoch, epoch * self.an_epoch, self.done - len(self._waiting)
        parts = [self._known["loss"][first : min(stop, known)]] if first < known else []
        if stop > known:
            parts.append(self._stacked("loss", max(0, first - known)).cpu())
        return torch.cat(parts).double().mean().item()

    def state(self) -> dict[str, Float[Tensor, " done"]]:
        """Return every step's losses, by name, on the CPU."""
        known = self.done - len(self._waiting)
        found = {name: values[:known].clone() for name, values in self._known.items()}
        for name in self._waiting[0] if self._waiting else ():
            found[name] = torch.cat([found.get(name, torch.empty(0)), self._stacked(name).cpu()])
        return found

    def load(self, state: dict[str, Float[Tensor, " done"]], device: torch.device) -> None:
        """Take in the losses of steps that were done before, perhaps of a shorter training with smaller windows."""
        columns = {name: values.to(device).unbind() for name, values in state.items()}
        for values in zip(*columns.values(), strict=True):
            parts = dict(zip(columns, values, strict=True))
            self.add(Loss(parts.pop("loss"), parts))
        self._told = self.done // self.an_epoch
