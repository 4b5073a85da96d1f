"""MACL: SimCLR with a temperature that rises with the alignment of the positives, and a loss reweighted against vanishing gradients.

Recipe: temperature 0.1, alpha 0.5, threshold 0 [Huang 2023, https://arxiv.org/abs/2207.07874]; all else is that of ``simclr``, because no
recipe for small images is published.
Deviations: optimiser, head and views of ``simclr``, so that the two differ in the loss alone.
Seen on the development task of digits (60 epochs, resnet9_slim, seed 0, kNN / one label a class, frozen): 94.5 / 67.5, untrained 93.1 / 47.2.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from lightly.loss import MACLLoss

from methods.base import Backbone
from methods.simclr import SimCLR, SimCLRSettings
from methods.traits import Traits


@dataclass(frozen=True)
class MACLSettings(SimCLRSettings):
    """What is particular to MACL, besides the attributes of SimCLR.

    Attributes:
        temperature: Where the alignment is at the threshold.
        alpha: How much the temperature follows the alignment.
        threshold: Alignment (mean cosine of the positives) at which the temperature is the given one.
    """

    temperature: float = 0.1
    alpha: float = 0.5
    threshold: float = 0.0


class MACL(SimCLR):
    """SimCLR with the model-aware loss."""

    title: ClassVar[str] = "MACL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2207.07874"
    Settings: ClassVar[type[Any]] = MACLSettings

    def __init__(self, backbone: Backbone | None, settings: MACLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.criterion = MACLLoss(settings.temperature, settings.alpha, settings.threshold)
