"""Parts of DINO, iBOT and DINOv2: a head with prototypes, and losses whose centre moves only in training mode."""

import warnings
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from lightly.loss import DINOLoss, IBOTPatchLoss
from lightly.models.modules.center import Center
from lightly.models.modules.heads import DINOProjectionHead
from lightly.models.utils import deactivate_requires_grad
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softmax


class PrototypeHead(DINOProjectionHead):  # type: ignore[misc]
    """DINO's projection head: three layers, L2 normalisation, and a layer of prototypes with normalised weights.

    It uses batch norm, which keeps images apart in a short training. If the prototypes' lengths are fixed, they are a
    buffer, because every parameter should receive a gradient. Hidden weights have Xavier initialisation: lightly keeps
    the authors' standard deviation of 0.02, which suits a width of 2048 and makes narrower heads nearly linear.
    """

    def __init__(self, features: int, hidden: int, bottleneck: int, prototypes: int, *, fixed_length: bool) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # lightly calls torch's deprecated weight_norm
            super().__init__(features, hidden, bottleneck, prototypes, batch_norm=True, norm_last_layer=False)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
        self.sizes = (features, hidden, bottleneck, prototypes)
        self.fixed_length = fixed_length
        if fixed_length:
            length = self.last_layer.weight_g.data
            del self.last_layer.weight_g
            self.last_layer.register_buffer("weight_g", length)

    def teacher(self) -> "PrototypeHead":
        """Return a copy without gradient; ``deepcopy`` cannot copy the prototypes, whose weight is computed."""
        teacher = PrototypeHead(*self.sizes, fixed_length=self.fixed_length)
        teacher.load_state_dict(self.state_dict())
        deactivate_requires_grad(teacher)
        return teacher

    def freeze_prototypes(self) -> None:
        """Drop the gradient of the prototypes; called before the optimiser's step."""
        for p in self.last_layer.parameters():
            p.grad = None


class ViewLoss(DINOLoss):  # type: ignore[misc]
    """DINO's cross-entropy between views, whose centre moves only in training mode; lightly's always moves."""

    def update_center(self, teacher_out: Tensor) -> None:
        """Move the centre, in training mode only."""
        if self.training:
            super().update_center(teacher_out)


class PatchMasks(NamedTuple):
    """Masked patches of a batch: as masks, and as positions among all patches, which no device has to search for.

    Attributes:
        masks: Which patches of each view are masked.
        positions: Positions of the masked patches in ``masks.flatten()``, ascending.
    """

    masks: Bool[Tensor, "views side side"]
    positions: Int[Tensor, " masked"]

    @classmethod
    def of(cls, masks: Bool[Tensor, "views side side"]) -> "PatchMasks":
        """Return masks with their positions; masks on a GPU make the host wait."""
        return cls(masks, masks.flatten().nonzero().squeeze(1))


class PatchLoss(IBOTPatchLoss):  # type: ignore[misc]
    """lightly's cross-entropy of masked patches without a boolean index, whose centre moves only in training mode."""

    def __init__(self, prototypes: int, student_temp: float, center_momentum: float) -> None:
        super().__init__(prototypes, student_temp=student_temp)
        self.center = _Centre((1, prototypes), momentum=center_momentum)

    def forward(
        self,
        teacher_out: Float[Tensor, "masked prototypes"],
        student_out: Float[Tensor, "masked prototypes"],
        mask: PatchMasks,
        teacher_temp: float,
    ) -> Float[Tensor, ""]:
        """Return the mean over all views of the mean cross-entropy of a view's masked patches; 0 for a view without masks."""
        # A tensor on the CPU, as in lightly, which rounds the temperature to float32.
        targets = softmax((teacher_out - self.center.value) / torch.tensor(teacher_temp), dim=-1)
        losses = -torch.sum(targets * log_softmax(student_out / self.student_temp, dim=-1), dim=-1)
        counts = mask.masks.sum(dim=(1, 2), keepdim=True).clamp(min=1.0)
        weights = (1.0 / counts).expand_as(mask.masks).flatten()[mask.positions]
        self.center.update(teacher_out)
        return (losses * weights).sum() / len(mask.masks)


class _Centre(Center):  # type: ignore[misc]
    def update(self, x: Tensor) -> None:
        if self.training:
            super().update(x)
