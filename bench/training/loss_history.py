"""Losses of a training: one per step, read from the device in windows of steps, a curve of the windows' means, and watched figures."""

import math
from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from bench.errors import Diverged, SslbenchError
from methods.base import Loss

CURVE_POINTS = 200
"""Largest number of points of the curve."""
GRADIENT = "the gradient's norm"
"""Name of the gradient's norm in messages."""


class LossHistory:
    """The total loss and its named parts for every step.

    Args:
        steps: Number of steps of the training.
        per_epoch: Number of steps per epoch.

    Attributes:
        curve: ``step``, ``loss`` and each named part: means over windows of steps, at most 200 points.
        watched: ``epoch``, ``step`` and each watched figure, one value per watched epoch.
        done: Number of steps so far.
    """

    def __init__(self, steps: int, per_epoch: int) -> None:
        self.steps, self.per_epoch = steps, per_epoch
        self.window = max(1, math.ceil(steps / CURVE_POINTS))
        self.curve: dict[str, list[float]] = {}
        self.watched: dict[str, list[float]] = {}
        self.done = 0
        self._read_losses: dict[str, Float[Tensor, " steps"]] = {}
        self._window_losses: list[dict[str, Tensor]] = []
        self._window_gradients: list[Tensor] = []
        self._reported_epochs = 0
        self._reported_points = 0

    @property
    def last(self) -> float | None:
        """The latest mean loss of the curve, or None."""
        return self.curve["loss"][-1] if self.curve else None

    def add(self, loss: Loss, gradient: Float[Tensor, ""] | None = None) -> None:
        """Add one step's loss; it stays on its device until the window is full.

        Args:
            loss: The loss; its parts have the same names in every step.
            gradient: Norm of the gradient, or None if it is not known.

        Raises:
            Diverged: A loss, a part or a gradient of the window is not finite.
            SslbenchError: The parts have other names than in the steps before.
        """
        known = self._read_losses or (self._window_losses[0] if self._window_losses else None)
        if known is not None and {"loss", *loss.parts} != known.keys():
            raise SslbenchError(
                f"the parts of the loss are {_names(loss.parts)} in step {self.done + 1}, but {_names(known)} before; "
                "name the same parts in every step"
            )
        self._window_losses.append({"loss": loss.total.detach(), **{k: v.detach() for k, v in loss.parts.items()}})
        if gradient is not None:
            self._window_gradients.append(gradient.detach())
        self.done += 1
        if len(self._window_losses) == self.window or self.done == self.steps:
            self._read()

    def check(self) -> None:
        """Raise Diverged if a loss or a gradient since the last full window is not finite; waits for the device."""
        if not self._window_losses:
            return
        columns = {name: self._stacked(name) for name in self._window_losses[0]}
        if self._window_gradients:
            columns[GRADIENT] = torch.stack(self._window_gradients).float()
        broken = {name: (~values.isfinite()).nonzero().flatten() for name, values in columns.items()}
        first = {name: int(positions[0]) for name, positions in broken.items() if len(positions)}
        if not first:
            return
        # If several broke in the same step, the loss is named, which comes first among the columns.
        name = min(first, key=first.__getitem__)
        step = self.done - len(self._window_losses) + first[name] + 1
        raise Diverged(f"{name} became {columns[name][first[name]].item()} in step {step} of {self.steps}")

    def _read(self) -> None:
        start = self.done - len(self._window_losses)
        means = {name: self._stacked(name) for name in self._window_losses[0]}
        gradient = torch.stack(self._window_gradients).float().sum().item() if self._window_gradients else 0.0
        curve = {name: values.mean().item() for name, values in means.items()}
        if not all(map(math.isfinite, (*curve.values(), gradient))):
            self.check()
            name = next((name for name, mean in curve.items() if not math.isfinite(mean)), GRADIENT)
            raise Diverged(f"{name} became too large in the {len(self._window_losses)} steps before step {self.done}")
        for name, values in means.items():
            self.curve.setdefault(name, []).append(curve[name])
            self._read_losses.setdefault(name, torch.empty(self.steps))[start : self.done] = values.cpu()
        self.curve.setdefault("step", []).append(self.done)
        self._window_losses, self._window_gradients = [], []

    def _stacked(self, name: str, first: int = 0) -> Float[Tensor, " waiting"]:
        return torch.stack([losses[name].float() for losses in self._window_losses[first:]])

    def new_epochs(self) -> list[tuple[int, float]]:
        """Return (epoch, mean loss) of each epoch that was completed and read since the last call; epochs count from 1."""
        complete = (self.done - len(self._window_losses)) // self.per_epoch
        found = [(epoch, self.mean_of(epoch)) for epoch in range(self._reported_epochs + 1, complete + 1)]
        self._reported_epochs = complete
        return found

    def new_points(self) -> dict[int, dict[str, float]]:
        """Return the points of the curve, by step, that were added since the last call: the mean loss and its parts."""
        steps = self.curve.get("step", [])
        found = {
            int(steps[point]): {name: values[point] for name, values in self.curve.items() if name != "step"}
            for point in range(self._reported_points, len(steps))
        }
        self._reported_points = len(steps)
        return found

    def watch(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add what was watched after an epoch, counted from 1."""
        for name, value in {"epoch": epoch, "step": epoch * self.per_epoch, **figures}.items():
            self.watched.setdefault(name, []).append(value)

    @property
    def last_watched(self) -> dict[str, float]:
        """The latest watched figures; empty if nothing was watched."""
        return {name: values[-1] for name, values in self.watched.items() if name not in ("epoch", "step")}

    def mean_of(self, epoch: int) -> float:
        """Return the mean loss of a completed epoch, counted from 1; waits for the device if the losses are not read yet."""
        first, stop = (epoch - 1) * self.per_epoch, epoch * self.per_epoch
        read = self.done - len(self._window_losses)
        parts = [self._read_losses["loss"][first : min(stop, read)]] if first < read else []
        if stop > read:
            parts.append(self._stacked("loss", max(0, first - read)).cpu())
        return torch.cat(parts).double().mean().item()

    def state(self) -> dict[str, Float[Tensor, " done"]]:
        """Return the losses of all steps so far by name, on the CPU."""
        read = self.done - len(self._window_losses)
        losses = {name: values[:read].clone() for name, values in self._read_losses.items()}
        for name in self._window_losses[0] if self._window_losses else ():
            losses[name] = torch.cat([losses.get(name, torch.empty(0)), self._stacked(name).cpu()])
        return losses

    def load(self, state: dict[str, Float[Tensor, " done"]], device: torch.device) -> None:
        """Add the losses of earlier steps; they may be from a shorter training, whose windows were smaller."""
        columns = {name: values.to(device).unbind() for name, values in state.items()}
        for values in zip(*columns.values(), strict=True):
            parts = dict(zip(columns, values, strict=True))
            self.add(Loss(parts.pop("loss"), parts))
        self._reported_epochs = self.done // self.per_epoch


def _names(columns: Iterable[str]) -> str:
    return ", ".join(name for name in columns if name != "loss") or "none"
