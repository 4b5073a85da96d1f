"""The size limit of the image cache: the least recently used images are deleted, but never those that a process is using."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.data.mapped import unused
from bench.errors import SslbenchError

VARIABLE = "SSLBENCH_CACHE_GB"
DEFAULT_GB = 100.0
GB = 10**9
ARRAY, NOTES, UNFINISHED, JOURNAL, LOCK = ".npy", ".json", ".partial", ".journal", ".lock"
"""Endings of the files of one set of images: the array, notes on it, an array that is being decoded, its journal, and its lock."""


@dataclass(frozen=True)
class Entry:
    """The files of one set of images, or of one that was not decoded to its end.

    Attributes:
        key: Name of the files, without ending.
        folder: Their folder.
        bytes: Their size together.
        used: Time of the last use, in seconds since 1970.
        finished: Whether the array is complete.
    """

    key: str
    folder: Path
    bytes: int
    used: float
    finished: bool

    def delete(self) -> bool:
        """Delete the files unless a process is using or writing them; return whether they were deleted."""
        try:
            with FileLock(self.folder / f"{self.key}{LOCK}", timeout=0):
                if not self.finished:
                    return self._unlink()
                with unused(self.folder / f"{self.key}{ARRAY}") as free:
                    return free and self._unlink()
        except (Timeout, OSError):  # Windows forbids to delete a file that is in use
            return False

    def _unlink(self) -> bool:
        for ending in (ARRAY, NOTES, UNFINISHED, JOURNAL):
            (self.folder / f"{self.key}{ending}").unlink(missing_ok=True)
        return True


def limit() -> float:
    """Return the size limit of the image cache in bytes: ``SSLBENCH_CACHE_GB``, or 100 GB.

    Raises:
        SslbenchError: The variable is not a positive number.
    """
    text = os.environ.get(VARIABLE) or str(DEFAULT_GB)
    with suppress(ValueError):
        if (size := float(text)) > 0:
            return size * GB
    raise SslbenchError(f"{VARIABLE} is {text!r}: write a number of GB above 0, such as 50")


def readable(size: float) -> str:
    """Return a number of bytes as text."""
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / 10**6:.1f} MB"


def entries(folder: Path) -> list[Entry]:
    """Return the sets of images in a cache folder, the least recently used first."""
    sizes: dict[str, dict[str, os.stat_result]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix in (ARRAY, NOTES, UNFINISHED, JOURNAL):
            with suppress(FileNotFoundError):
                sizes.setdefault(path.stem, {})[path.suffix] = path.lstat()
    found = [
        Entry(
            key,
            folder,
            sum(state.st_size for state in files.values()),
            max(state.st_mtime for state in files.values()),
            ARRAY in files,
        )
        for key, files in sizes.items()
    ]
    return sorted(found, key=lambda entry: entry.used)


def folder_lock(folder: Path) -> FileLock:
    """Return the lock under which processes make room and reserve it."""
    return FileLock(folder / f"folder{LOCK}")


def make_room(folder: Path, key: str, needed: int) -> None:
    """Delete the least recently used images until an array fits into the limit; call it within ``folder_lock``.

    Args:
        folder: The cache folder.
        key: Key of the array; its own files are kept and not counted.
        needed: Bytes of the array.

    Raises:
        SslbenchError: It is larger than the limit, or than what other processes leave of it.
    """
    most = limit()
    if needed > most:
        raise SslbenchError(
            f"the decoded images take {readable(needed)}, more than the limit of the image cache, {most / GB:g} GB: "
            f"set {VARIABLE} to a larger number of GB, or choose a smaller --image-size"
        )
    others = [entry for entry in entries(folder) if entry.key != key]
    total = sum(entry.bytes for entry in others)
    for entry in others:
        if total + needed <= most:
            return
        if entry.delete():
            total -= entry.bytes
    if total + needed > most:
        raise SslbenchError(
            f"the decoded images take {readable(needed)}, but processes that are running use {readable(total)} of the {most / GB:g} GB "
            f"of the image cache: wait for them, or set {VARIABLE} to a larger number of GB"
        )
