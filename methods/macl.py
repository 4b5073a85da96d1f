"""MACL: SimCLR with a temperature that rises with the positives' alignment, and a reweighted loss.

Recipe: temperature 0.1, alpha 0.5, threshold 0 [Huang 2023, https://arxiv.org/abs/2207.07874]. The reweighting counters
vanishing gradients. Everything else is as in ``simclr``, because no recipe for small images is published.

Deviations: optimiser, projector and views are those of ``simclr``, so that the two methods differ only in the loss.

On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: 94.5 / 67.5; untrained network 93.1 / 47.2.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.base import Backbone
from methods.parts.contrastive import MACLLoss
from methods.ranges import Fraction, Positive
from methods.simclr import SimCLR, SimCLRSettings
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class MACLSettings(SimCLRSettings):
    """What is particular to MACL, in addition to the settings of SimCLR.

    Attributes:
        temperature: Temperature if the alignment equals the threshold.
        alpha: How strongly the temperature depends on the alignment.
        threshold: Alignment (mean cosine of the positives) at which the temperature is ``temperature``.
    """

    temperature: Positive = 0.1
    alpha: Fraction = 0.5
    threshold: Fraction = 0.0


class MACL(SimCLR):
    """SimCLR with the model-aware loss."""

    title: ClassVar[str] = "MACL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2207.07874"
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "alpha": Between(0.0, 1.0),
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = MACLSettings

    def __init__(self, backbone: Backbone | None, settings: MACLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.criterion = MACLLoss(settings.temperature, settings.alpha, settings.threshold)
