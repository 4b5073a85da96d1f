"""Names of encoders pretrained elsewhere: ``timm:NAME``, ``timm:NAME@FILE``, ``hf-model:DIR``, ``checkpoint:FILE``. Imports no torch."""

import stat
from dataclasses import dataclass
from pathlib import Path

from bench.errors import SslbenchError
from bench.printable import printable

TIMM, CHECKPOINT, TRANSFORMERS = "timm:", "checkpoint:", "hf-model:"

NAME_FORMS = (
    ("timm:NAME", "A timm model with weights from its local cache; timm:NAME@FILE reads them from a file"),
    ("hf-model:DIR", "A folder of Hugging Face transformers: config.json and safetensors"),
    ("checkpoint:FILE", "A file of weights for one of the backbones, named by --backbone or by the file itself"),
)
"""Form and title of each kind of name, for `sslbench list methods`."""


@dataclass(frozen=True)
class PretrainedName:
    """The parts of a name.

    Attributes:
        timm: Name of the timm model; None for a checkpoint.
        file: The file of weights; None if they come from timm's cache or from a folder.
        folder: The folder of a model of transformers; None for any other.
    """

    timm: str | None
    file: Path | None
    folder: Path | None = None


def is_pretrained_name(name: str) -> bool:
    """Whether a method's name has one of these forms."""
    return name.startswith((TIMM, CHECKPOINT, TRANSFORMERS))


def parse_name(name: str) -> PretrainedName:
    """Split a name into its parts.

    Raises:
        SslbenchError: The name is incomplete, or its file does not exist.
    """
    if name.startswith(TRANSFORMERS):
        return PretrainedName(None, None, _model_folder(name))
    timm, file = None, name.removeprefix(CHECKPOINT)
    if name.startswith(TIMM):
        timm, _, file = name.removeprefix(TIMM).partition("@")
        if not timm or name.endswith("@"):
            raise SslbenchError(f"{name}: write timm:NAME or timm:NAME@FILE, for example timm:resnet18")
    elif not file:
        raise SslbenchError(f"{name}: write checkpoint:FILE, for example checkpoint:resnet18.pth")
    if file:
        _check_file(Path(file), printable(name))
    return PretrainedName(timm, Path(file).resolve() if file else None)


def _model_folder(name: str) -> Path:
    """Return the folder of ``hf-model:DIR``."""
    text = name.removeprefix(TRANSFORMERS)
    folder = Path(text)
    try:
        found = bool(text) and folder.is_dir()
        complete = found and (folder / "config.json").is_file()
    except (OSError, ValueError) as error:
        raise SslbenchError(printable(f"{name}: {getattr(error, 'strerror', None) or error}")) from error
    if not found:
        raise SslbenchError(
            printable(f"{name}: there is no folder {text!r}; write hf-model:DIR with a folder of save_pretrained")
        )
    if not complete:
        raise SslbenchError(
            printable(f"{name}: {folder} has no config.json; write hf-model:DIR with a folder of save_pretrained")
        )
    return folder.resolve()


def _check_file(file: Path, name: str) -> None:
    """Raise SslbenchError unless ``file`` is a regular file or a link to one: a device or a pipe is never opened."""
    shown = printable(str(file))
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a null character
        missing = isinstance(error, FileNotFoundError)
        reason = "" if missing else f" ({getattr(error, 'strerror', None) or error})"
        raise SslbenchError(f"{name}: there is no file {shown}{reason}") from error
    if stat.S_ISDIR(mode):
        raise SslbenchError(f"{name}: {shown} is a folder; give the file of weights in it")
    if not stat.S_ISREG(mode):
        raise SslbenchError(f"{name}: {shown} is a device or a pipe, not a file; give a file of weights")
