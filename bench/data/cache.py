"""Cache of decoded images: one memory-mapped uint8 array per set of files, in a private folder of the user's cache directory."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from filelock import FileLock

from bench.atomic import leftovers, write_whole
from bench.data.locate import cache_folder
from bench.data.raw import Pixels
from bench.errors import SslbenchError

VERSION = 2
"""Raised whenever a change of the decoder changes pixels or notes: older arrays are then decoded again."""
REMEDY = "free space, or set SSLBENCH_CACHE to another folder"


def cached(state: str, build: Callable[[IO[bytes]], Sequence[str]]) -> tuple[Pixels, list[str]]:
    """Return decoded images, mapped from their file, and notes on them; copy-on-write, so the file never changes.

    Processes that ask for the same images share the memory of the file.

    Args:
        state: Text that changes whenever the images change: paths, image size, and ``bench.data.files.file_state`` of each file.
        build: Writes the array in numpy's format into an open file and returns the notes. It is called only if there is no valid
            array yet, and by only one of several processes.

    Raises:
        SslbenchError: The cache belongs to another user, or cannot be written, for example on a full disk.
    """
    key = hashlib.blake2b(f"{VERSION}\0{state}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    try:
        path = _private_folder() / f"{key}.npy"
        if (found := _open_valid(path)) is not None:
            return found
        with FileLock(path.with_suffix(".lock")):
            if (found := _open_valid(path)) is None:
                # No other process writes under the lock: these files were left by killed processes.
                for leftover in (*leftovers(path), *leftovers(_notes_path(path))):
                    leftover.unlink()
                write_whole(path, lambda temporary: _fill(temporary, path, build), REMEDY)
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
    np.lib.format.write_array_header_1_0(target, {"descr": "|u1", "fortran_order": False, "shape": shape})
    for block in blocks:
        target.write(np.ascontiguousarray(block).data)


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
        images = np.lib.format.open_memmap(path, mode="c")
        notes = json.loads(_notes_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = images.dtype == np.uint8 and images.ndim == 4 and state.st_size == images.offset + images.nbytes
    sound = isinstance(notes, list) and all(isinstance(note, str) for note in notes)
    return (images, notes) if complete and sound else None


def _notes_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _fill(temporary: Path, path: Path, build: Callable[[IO[bytes]], Sequence[str]]) -> None:
    with temporary.open("w+b") as target:
        notes = build(target)
    text = json.dumps(list(notes))
    write_whole(_notes_path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"), REMEDY)
