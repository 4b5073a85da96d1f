"""Atomic file writes: a file is written completely or not at all."""

import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bench.errors import StorageError

_SUFFIX = ".tmp"


def write_whole(path: Path, write: Callable[[Path], object], remedy: str = "free space or choose --results") -> None:
    """Write a temporary file next to ``path``, flush it to the disk, and rename it.

    A reader sees either the old file or the new one, never a partial file.

    Args:
        path: The file to write; missing folders are created.
        write: Writes the content to the path that it receives.
        remedy: What the user can do if the disk is full; the end of the error message.

    Raises:
        StorageError: The disk is full or the folder is not writable; an existing file stays unchanged.
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
    # torch raises RuntimeError if the disk is full.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise StorageError(f"cannot write {path}: {reason}; {remedy}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically; raises StorageError like ``write_whole``."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def leftovers(path: Path) -> Iterator[Path]:
    """Yield the temporary files of ``path``: of writers that were killed, and of writers that are still running."""
    return path.parent.glob(f"{glob.escape(_prefix(path))}*{_SUFFIX}")


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
