"""Parts of DINO, iBOT and DINOv2: a head with prototypes, and losses whose centre moves only in training mode."""

import warnings

from lightly.loss import DINOLoss, IBOTPatchLoss
from lightly.models.modules.center import Center
from lightly.models.modules.heads import DINOProjectionHead
from lightly.models.utils import deactivate_requires_grad
from torch import Tensor, nn


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


class PatchLoss(IBOTPatchLoss):  # type: ignore[misc]
    """iBOT's cross-entropy of masked patches, whose centre moves only in training mode."""

    def __init__(self, prototypes: int, student_temp: float, center_momentum: float) -> None:
        super().__init__(prototypes, student_temp=student_temp)
        self.center = _Centre((1, prototypes), momentum=center_momentum)


class _Centre(Center):  # type: ignore[misc]
    def update(self, x: Tensor) -> None:
        if self.training:
            super().update(x)
