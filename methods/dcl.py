"""DCL: SimCLR without the positive pair in the denominator of the softmax.

Recipe: the temperature 0.1 of lightly's CIFAR-10 benchmark (https://github.com/lightly-ai/lightly,
docs/source/getting_started/benchmarks/cifar10_benchmark.py); everything else as in ``simclr``.

Deviations: optimiser, projector and views are those of ``simclr``, so that the two methods differ only in the loss.

On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: 95.2 / 69.3; untrained network 93.1 / 47.2.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from methods.base import Backbone
from methods.parts.contrastive import DCLLoss
from methods.ranges import Positive
from methods.simclr import SimCLR, SimCLRSettings
from methods.space import CROP, DECAY, RATE, TEMPERATURE, Space
from methods.traits import Traits


@dataclass(frozen=True)
class DCLSettings(SimCLRSettings):
    """What is particular to DCL; the attributes are those of SimCLR."""

    temperature: Positive = 0.1


class DCL(SimCLR):
    """SimCLR with the decoupled loss [Yeh 2021, equation 6 without weights]."""

    title: ClassVar[str] = "DCL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2110.06848"
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": TEMPERATURE,
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = DCLSettings

    def __init__(self, backbone: Backbone | None, settings: DCLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.criterion = DCLLoss(settings.temperature)
