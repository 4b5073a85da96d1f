"""Names of encoders pretrained elsewhere: ``timm:NAME``, ``timm:NAME@FILE``, ``checkpoint:FILE``. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from bench.errors import SslbenchError

TIMM, CHECKPOINT = "timm:", "checkpoint:"

NAME_FORMS = (
    ("timm:NAME", "A timm model with weights from its local cache; timm:NAME@FILE reads them from a file"),
    ("checkpoint:FILE", "A file of weights for one of the backbones, named by --backbone or by the file itself"),
)
"""Form and title of each kind of name, for `sslbench list methods`."""


@dataclass(frozen=True)
class PretrainedName:
    """The parts of a name.

    Attributes:
        timm: Name of the timm model; None for a checkpoint.
        file: The file of weights; None if they come from timm's cache.
    """

    timm: str | None
    file: Path | None


def is_pretrained_name(name: str) -> bool:
    """Whether a method's name has one of these forms."""
    return name.startswith((TIMM, CHECKPOINT))


def parse_name(name: str) -> PretrainedName:
    """Split a name into its parts.

    Raises:
        SslbenchError: The name is incomplete, or its file does not exist.
    """
    timm, file = None, name.removeprefix(CHECKPOINT)
    if name.startswith(TIMM):
        timm, _, file = name.removeprefix(TIMM).partition("@")
        if not timm or name.endswith("@"):
            raise SslbenchError(f"{name}: write timm:NAME or timm:NAME@FILE, for example timm:resnet18")
    elif not file:
        raise SslbenchError(f"{name}: write checkpoint:FILE, for example checkpoint:resnet18.pth")
    if file and not Path(file).is_file():
        raise SslbenchError(f"{name}: there is no file {file}")
    return PretrainedName(timm, Path(file).resolve() if file else None)
