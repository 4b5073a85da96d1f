"""PMSN: MSN with prototypes whose mean use follows a power law instead of being uniform.

Recipe: as in ``msn``, with lightly's exponent of 0.25 (https://github.com/lightly-ai/lightly,
lightly/loss/pmsn_loss.py).

Deviations: as in ``msn``. The recipe was not chosen by scores.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss import PMSNCustomLoss
from torch import Tensor

from methods.base import Backbone
from methods.msn import MSN, MSNSettings
from methods.traits import Traits


@dataclass(frozen=True)
class PMSNSettings(MSNSettings):
    """What is particular to PMSN, in addition to the settings of MSN.

    Attributes:
        exponent: The target use of the k-th prototype is proportional to k to the power of minus ``exponent``.
    """

    exponent: float = 0.25


class PMSN(MSN):
    """MSN with a power law as the prior over prototypes."""

    title: ClassVar[str] = "PMSN"
    paper: ClassVar[str] = "https://arxiv.org/abs/2210.07277"
    Settings: ClassVar[type[Any]] = PMSNSettings

    def __init__(self, backbone: Backbone | None, settings: PMSNSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.criterion = PMSNCustomLoss(self.power_law)

    def power_law(self, mean: Float[Tensor, " prototypes"]) -> Float[Tensor, " prototypes"]:
        """Return the prior over prototypes; lightly's ``PMSNLoss`` has the same one, but warns at every step."""
        ranks = torch.arange(1, len(mean) + 1, device=mean.device)
        weights = torch.pow(ranks, -self.settings.exponent)
        return weights / weights.sum()
