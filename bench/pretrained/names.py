"""How a user names an encoder from elsewhere: ``timm:NAME``, ``timm:NAME@FILE``, ``checkpoint:FILE``; imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from bench.errors import SslbenchError

TIMM, CHECKPOINT = "timm:", "checkpoint:"

ROWS = (
    ("timm:NAME", "A model of timm with the weights in its local cache; timm:NAME@FILE takes them from a file"),
    ("checkpoint:FILE", "A file of weights for one of our backbones, named by --backbone or by the file itself"),
)
"""Form and title of each, as `sslbench list methods` shows them."""


@dataclass(frozen=True)
class Form:
    """A name taken apart.

    Attributes:
        timm: Name of a timm model; None for a checkpoint.
        file: The file of weights; None where timm's cache has them.
    """

    timm: str | None
    file: Path | None


def is_elsewhere(name: str) -> bool:
    """Whether a method's name has one of the forms."""
    return name.startswith((TIMM, CHECKPOINT))


def parse(name: str) -> Form:
    """Take a name apart.

    Raises:
        SslbenchError: It is incomplete, or the file is not there.
    """
    timm, file = None, name.removeprefix(CHECKPOINT)
    if name.startswith(TIMM):
        timm, _, file = name.removeprefix(TIMM).partition("@")
        if not timm or name.endswith("@"):
            raise SslbenchError(f"{name}: write timm:NAME or timm:NAME@FILE, for example timm:resnet18")
    elif not file:
        raise SslbenchError(f"{name}: write checkpoint:FILE, for example checkpoint:resnet18.pth")
    if file and not Path(file).is_file():
        raise SslbenchError(f"{name}: no file {file}")
    return Form(timm, Path(file).resolve() if file else None)
