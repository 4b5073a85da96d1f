"""The baseline without training: the initialised backbone, with batch-norm statistics from one pass over ``train``."""

from typing import ClassVar

from methods.base import Family, Method, Needs, Recipe


class RandomInit(Method):
    """An untrained backbone."""

    title: ClassVar[str] = "Random initialisation"
    paper: ClassVar[str] = "none: the network before training"
    family: ClassVar[Family] = "floor and ceiling"
    needs: ClassVar[Needs] = Needs(training=False, statistics=True)
    recipe: ClassVar[Recipe] = Recipe(version=1)
