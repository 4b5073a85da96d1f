"""Atomic file writes: a file is written completely or not at all; what killed writers left is found by its lock."""

import glob
import os
import re
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bench.errors import SslbenchError, StorageError
from bench.printable import printable

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    flock = None  # type: ignore[assignment]

_SUFFIX = ".tmp"
_STALE_SECONDS = 3600.0
"""Age at which the temporary file of a writer on another machine counts as left behind; a writer touches its file all the time."""
_LOCKING_SECONDS = 60.0
"""Time in which a writer that is still running has certainly locked its new file."""


def write_whole(path: Path, write: Callable[[Path], object], remedy: str = "free space or choose --results") -> None:
    """Write a temporary file next to ``path``, flush it to the disk, and rename it.

    A reader sees either the old file or the new one, never a partial file.

    Args:
        path: The file to write; missing folders are created.
        write: Writes the content to the path that it receives.
        remedy: What the user can do if the disk is full; the end of the error message.

    Raises:
        StorageError: The disk is full, the folder is not writable, or the path is a device or a pipe; what exists stays unchanged.
    """
    temporary, handle = None, None
    if _is_device(path):
        raise StorageError(f"cannot write {path}: it is a device or a pipe; choose another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_prefix(path)}{_writer()}.", suffix=_SUFFIX)
        temporary = Path(name)
        _lock(handle)
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
        if handle is not None:
            os.close(handle)


def check_target(file: Path) -> None:
    """Raise SslbenchError if a file to write exists and is anything but a regular file or a link to one: a device is never replaced."""
    shown = printable(str(file))
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            mode = file.stat().st_mode
    except FileNotFoundError:
        return  # nothing is there, or a link to nothing, which is replaced
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SslbenchError(f"cannot write {shown}: {reason}; choose another file") from error
    if stat.S_ISDIR(mode):
        raise SslbenchError(f"cannot write {shown}: it is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise SslbenchError(f"cannot write {shown}: it is a device or a pipe; choose another file")


def _is_device(path: Path) -> bool:
    """Return whether a path is a device, a pipe or a socket, which a rename would replace."""
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically; raises StorageError like ``write_whole``."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def leftovers(path: Path) -> Iterator[Path]:
    """Yield the temporary files of ``path``: of writers that were killed, and of writers that are still running."""
    return path.parent.glob(f"{glob.escape(_prefix(path))}*{_SUFFIX}")


def abandoned(folder: Path) -> Iterator[Path]:
    """Yield the temporary files in a folder and the folders below it whose writers were killed; links are not followed.

    A running writer holds a lock on its file. Whether a writer on another machine is still running cannot be seen everywhere: its
    file counts only if it has not changed for an hour.
    """
    for path in folder.rglob(f".*{_SUFFIX}"):
        with suppress(OSError):
            if stat.S_ISREG(path.lstat().st_mode) and _is_abandoned(path):
                yield path


def _is_abandoned(path: Path) -> bool:
    found = re.search(r"\.([^.]+)-([0-9]+)\.[^.]+$", path.name.removesuffix(_SUFFIX))
    age = time.time() - path.stat().st_mtime
    if found is None or found[1] != _host():
        return age > _STALE_SECONDS and _is_unlocked(path)
    return (age > _LOCKING_SECONDS or not _is_running(int(found[2]))) and _is_unlocked(path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _is_unlocked(path: Path) -> bool:
    """Return whether no running process of this machine writes the file."""
    if flock is None:
        return True
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _lock(handle: int) -> None:
    """Lock a new temporary file until it is closed, if the file system can do that."""
    if flock is not None:
        with suppress(OSError):
            flock(handle, LOCK_EX | LOCK_NB)


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _writer() -> str:
    return f"{_host()}-{os.getpid()}"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:24] or "host"


def _umask() -> int:
    # The mask can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
