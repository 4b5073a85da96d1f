"""Cache of decoded images: one memory-mapped uint8 array per set of files, in a private folder of the user's cache directory."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from filelock import FileLock

from bench.atomic import abandoned, write_whole
from bench.data.cache_limit import ARRAY, JOURNAL, LOCK, NOTES, UNFINISHED, folder_lock, limit, make_room, readable
from bench.data.locate import cache_folder
from bench.data.mapped import map_images
from bench.data.raw import Pixels
from bench.errors import SslbenchError, StorageError

VERSION = 2
"""Raised whenever a change of the decoder changes pixels or notes: older arrays are then decoded again."""
REMEDY = "free space, or set SSLBENCH_CACHE to another folder"
_HEADER_BYTES = 128
"""Bytes of a header in numpy's format, version 1.0, for any array of images."""


def cached(state: str, size: int, build: Callable[[IO[bytes]], Sequence[str]]) -> tuple[Pixels, list[str]]:
    """Return decoded images, mapped from their file, and notes on them; copy-on-write, so the file never changes.

    Processes that ask for the same images share the memory of the file.

    Args:
        state: Text that changes whenever the images change: paths, image size, and ``bench.data.files.file_state`` of each file.
        size: Bytes of the array while it is written; the least recently used images are deleted if the cache would become too large.
        build: Writes the array in numpy's format into an open file and returns the notes. It is called only if there is no valid
            array yet, and by only one of several processes. If it keeps a journal (``bench.data.journal``), the unfinished file is kept
            when it is interrupted, and given to the next process that asks for the same images.

    Raises:
        SslbenchError: The cache belongs to another user, cannot be written, for example on a full disk, or would exceed its limit.
    """
    key = hashlib.blake2b(f"{VERSION}\0{state}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    limit()  # a value that cannot be read is reported even if nothing has to be written
    try:
        path = _private_folder() / f"{key}{ARRAY}"
        if (found := _open_valid(path)) is not None:
            return found
        with FileLock(path.with_suffix(LOCK)):
            if (found := _open_valid(path)) is None:
                _write(path, size + _HEADER_BYTES, build)
                found = _open_valid(path)
    except OSError as cause:
        raise SslbenchError(
            f"cannot write the image cache {cache_folder() / 'images'}: {cause.strerror or cause}; {REMEDY}"
        ) from cause
    if found is None:
        raise SslbenchError(f"the image cache {path} cannot be read back; {REMEDY}")
    return found


def write_blocks(target: IO[bytes], shape: tuple[int, ...], blocks: Iterable[Pixels]) -> None:
    """Write an array block by block with plain writes: on a full disk they raise an error, a memory-mapped file would crash."""
    write_header(target, shape)
    for block in blocks:
        target.write(np.ascontiguousarray(block).data)
    target.truncate()


def write_header(target: IO[bytes], shape: tuple[int, ...]) -> None:
    """Write the header of a uint8 array in numpy's format."""
    np.lib.format.write_array_header_1_0(target, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _private_folder() -> Path:
    """Return the folder of the arrays, which only its user can read or write; it may have been created by an older version."""
    folder = cache_folder() / "images"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "geteuid"):
        state = folder.stat()
        if state.st_uid != os.geteuid():
            raise SslbenchError(
                f"the image cache {folder} belongs to another user: set SSLBENCH_CACHE to a folder of your own"
            )
        if stat.S_IMODE(state.st_mode) != 0o700:
            folder.chmod(0o700)
    return folder


def _open_valid(path: Path) -> tuple[Pixels, list[str]] | None:
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode) or (hasattr(os, "geteuid") and state.st_uid != os.geteuid()):
            return None
        images = map_images(path)
        notes = json.loads(path.with_suffix(NOTES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    with suppress(OSError):  # the cache may be on a read-only file system
        os.utime(path)  # the time of the last use
    valid = images.dtype == np.uint8 and images.ndim == 4
    sound = isinstance(notes, list) and all(isinstance(note, str) for note in notes)
    return (images, notes) if valid and sound else None


def _write(path: Path, size: int, build: Callable[[IO[bytes]], Sequence[str]]) -> None:
    """Write an array into an unfinished file, which gets its name only when it is complete and on the disk."""
    unfinished, journal = path.with_suffix(UNFINISHED), path.with_suffix(JOURNAL)
    for leftover in abandoned(path.parent):
        leftover.unlink(missing_ok=True)
    try:
        _reserve(unfinished, size)
        with unfinished.open("r+b") as target:
            notes = json.dumps(list(_built(build, target, journal)))
            target.flush()
            os.fsync(target.fileno())
        write_whole(path.with_suffix(NOTES), lambda temporary: temporary.write_text(notes, encoding="utf-8"), REMEDY)
        unfinished.replace(path)
        journal.unlink(missing_ok=True)
    except OSError as cause:
        raise StorageError(f"cannot write {path}: {cause.strerror or cause}; {REMEDY}") from cause
    finally:
        if not journal.exists():
            unfinished.unlink(missing_ok=True)


def _built(build: Callable[[IO[bytes]], Sequence[str]], target: IO[bytes], journal: Path) -> Sequence[str]:
    try:
        return build(target)
    except SslbenchError:  # the images have to be changed, and changed images have another key
        journal.unlink(missing_ok=True)
        raise


def _reserve(unfinished: Path, size: int) -> None:
    """Give an unfinished file the size that it will have, so that other processes count it when they make room.

    Raises:
        SslbenchError: It does not fit into the limit of the cache.
        StorageError: It does not fit on the disk.
    """
    with folder_lock(unfinished.parent):
        make_room(unfinished.parent, unfinished.stem, size)
        unfinished.touch(mode=0o600)
        taken = getattr(unfinished.stat(), "st_blocks", 0) * 512
        free = shutil.disk_usage(unfinished.parent).free
        if size - taken > free:
            raise StorageError(
                f"cannot write {unfinished}: the decoded images take {readable(size)}, and {readable(free)} are free; {REMEDY}"
            )
        os.truncate(unfinished, size)
