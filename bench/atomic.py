"""Files that are written whole or not at all."""

import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bench.errors import StorageError

_SUFFIX = ".tmp"


def write_whole(path: Path, write: Callable[[Path], object], remedy: str = "free space or choose --results") -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to the disk, and rename it.

    A reader sees the old file or the new one, never a half.

    Args:
        path: Where the file shall stand; missing folders are made.
        write: Fills the file at the path that it is handed.
        remedy: What the user can do where the disk is full.

    Raises:
        StorageError: The disk is full or the folder cannot be written; what stood there before stands there still.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=_SUFFIX)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    # torch tells a full disk as a RuntimeError.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise StorageError(f"cannot write {path}: {reason}; {remedy}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; raises StorageError as ``write_whole``."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def leftovers(path: Path) -> Iterator[Path]:
    """Yield the temporary files that writers of ``path`` left when they were killed, and those of writers at work."""
    return path.parent.glob(f"{glob.escape(_prefix(path))}*{_SUFFIX}")


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _umask() -> int:
    # The mask can only be read by setting it; a temporary file is private until it is renamed.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
