"""Plugins in temporary folders; everything that they register is removed after each test."""

import textwrap

import pytest

METHOD = """
from dataclasses import dataclass

from lightly.transforms.simclr_transform import SimCLRTransform
from torch import nn

from methods.base import Loss, Method, Recipe
from methods.parts.augmentation import allowed
{imports}

@dataclass(frozen=True)
class Settings:
    spread: float = {spread}


class Example(Method):
    title = "Example"
    paper = "none: an example"
    family = "redundancy and geometry"
    recipe = Recipe(version=1, optimizer="adamw", rate=1e-3)
    Settings = Settings

    def __init__(self, backbone, settings, traits):
        super().__init__(backbone, settings, traits)
        self.head = nn.Linear(self.backbone.dim, 8)

    @classmethod
    def views(cls, settings, traits):
        return SimCLRTransform(**allowed(traits, min_scale=0.2))

    def forward(self, batch, progress):
        first, second = [self.head(self.backbone(view)).float() for view in batch.views]
        {statement}
        return Loss((first - second).square().mean() - self.settings.spread * first.std(0).mean().clamp(max=1), {{}})
"""


@pytest.fixture(autouse=True)
def _clean(no_plugins_remain):
    """Every test of this folder starts without plugins."""


@pytest.fixture
def write(tmp_path):
    """Write a file of a plugin's folder and return its path as a text."""

    def write(name, text="", **changed):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text) if text else method_text(**changed))
        return str(path)

    return write


def method_text(**changed):
    """The text of a plugin with a method that trains; ``imports``, ``statement`` and ``spread`` are inserted."""
    return METHOD.format(**{"imports": "", "statement": "", "spread": 1.0, **changed})
