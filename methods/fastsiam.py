"""FastSiam: SimSiam with a more stable target, the mean embedding of three other views.

Recipe: projector, predictor, optimiser and views as in ``simsiam``, with four views [Pototzky 2022; lightly's CIFAR-10
benchmark, https://github.com/lightly-ai/lightly, docs/source/getting_started/benchmarks/cifar10_benchmark.py].

Deviations: as in ``simsiam``.

On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: 93.1 / 65.6; untrained network 93.1 / 47.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from lightly.transforms.fast_siam_transform import FastSiamTransform

from methods.parts.augmentation import allowed
from methods.ranges import Views
from methods.simsiam import SimSiam, SimSiamSettings
from methods.traits import Traits


@dataclass(frozen=True)
class FastSiamSettings(SimSiamSettings):
    """What is particular to FastSiam.

    Attributes:
        views: Number of views per image; the target for each view is the mean of all others.
    """

    views: Views = 4


class FastSiam(SimSiam):
    """SimSiam on four views."""

    title: ClassVar[str] = "FastSiam"
    paper: ClassVar[str] = "https://doi.org/10.1007/978-3-031-16788-1_4"
    Settings: ClassVar[type[Any]] = FastSiamSettings

    @classmethod
    def views(cls, settings: Any, traits: Traits) -> Callable[[Any], Any]:
        """Return equally augmented views."""
        pipeline: Callable[[Any], Any] = FastSiamTransform(settings.views, **allowed(traits, settings.min_scale))
        return pipeline
