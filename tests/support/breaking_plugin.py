"""A plugin that does something wrong in the middle of its training."""

from pathlib import Path

SOURCE = """
import os, signal, torch
from typing import ClassVar
from methods.base import Loss
from methods.simclr import SimCLR

class {name}(SimCLR):
    title: ClassVar[str] = "{name}"

    def forward(self, batch, progress):
        loss = super().forward(batch, progress)
        if progress > 0.4:
            {statement}
        return loss
"""


def write_plugin(folder: Path, name: str, statement: str) -> str:
    """Write SimCLR with a statement that runs after two fifths of the training as a plugin; return the name of its file."""
    (folder / f"{name}.py").write_text(SOURCE.format(name=name.title(), statement=statement))
    return f"{name}.py"
