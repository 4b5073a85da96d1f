"""PMSN: MSN with prototypes whose mean use follows a power law instead of being uniform.

Recipe: as in ``msn``, with lightly's exponent of 0.25 (https://github.com/lightly-ai/lightly,
lightly/loss/pmsn_loss.py).

The term is the divergence of the mean assignment from the prior, KL(mean || prior), as in the paper; with a uniform
prior it equals MSN's. lightly's ``PMSNLoss`` is not used: it computes KL(prior || mean).

Deviations: as in ``msn``. The recipe was not chosen by scores.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import kl_div

from methods.base import Backbone, Recipe
from methods.msn import MSN, MSNSettings
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class PMSNSettings(MSNSettings):
    """What is particular to PMSN, in addition to the settings of MSN.

    Attributes:
        exponent: The target use of the k-th prototype is proportional to k to the power of minus ``exponent``.
    """

    exponent: Annotated[float, Interval(ge=0, le=10)] = 0.25


class PMSN(MSN):
    """MSN with a power law as the prior over prototypes."""

    title: ClassVar[str] = "PMSN"
    paper: ClassVar[str] = "https://arxiv.org/abs/2210.07277"
    recipe: ClassVar[Recipe] = replace(MSN.recipe, version=2)
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "masked": Between(0.1, 0.7),
        "exponent": Between(0.0, 1.0),
    }
    Settings: ClassVar[type[Any]] = PMSNSettings

    power_law: Tensor

    def __init__(self, backbone: Backbone | None, settings: PMSNSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.register_buffer("power_law", power_law(settings.prototypes, settings.exponent))

    def prior_loss(self, mean: Float[Tensor, " prototypes"]) -> Float[Tensor, ""]:
        """Return the divergence of the mean assignment from the power law, KL(mean || prior)."""
        # torch's arguments are the logarithm of the second distribution, then the first.
        divergence: Tensor = kl_div(self.power_law.log(), mean, reduction="sum")
        return divergence


def power_law(prototypes: int, exponent: float) -> Float[Tensor, " prototypes"]:
    """Return probabilities of the k-th prototype proportional to k to the power of minus ``exponent``."""
    weights = torch.arange(1, prototypes + 1, dtype=torch.float32) ** -exponent
    return weights / weights.sum()
