"""Cache of decoded images: one memory-mapped uint8 array per set of files, in the user's cache directory."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import numpy as np
from filelock import FileLock

from bench.atomic import leftovers, write_whole
from bench.data.locate import cache_folder
from bench.data.raw import Pixels
from bench.errors import SslbenchError

VERSION = 1
"""Raised whenever a change of the decoder changes pixels: older arrays are then decoded again."""
REMEDY = "free space, or set SSLBENCH_CACHE to another folder"


def cached(identity: str, build: Callable[[IO[bytes]], None]) -> Pixels:
    """Return decoded images, mapped from their file; copy-on-write, so the file never changes.

    Args:
        identity: Text that changes whenever the images change, for example a hash of the files and the image size.
        build: Writes the array in numpy's format into an open file. It is called only if there is no valid array yet, and by only one
            of several processes.

    Raises:
        SslbenchError: The cache cannot be written, for example on a full disk.
    """
    key = hashlib.blake2b(f"{VERSION}\0{identity}".encode(), digest_size=16).hexdigest()
    path = cache_folder() / "images" / f"{key}.npy"
    if (images := _open_valid(path)) is not None:
        return images
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if (images := _open_valid(path)) is None:
                # No other process writes under the lock: these files were left by killed processes.
                for leftover in leftovers(path):
                    leftover.unlink()
                write_whole(path, lambda temporary: _fill(temporary, build), REMEDY)
                images = _open_valid(path)
    except OSError as cause:
        raise SslbenchError(
            f"cannot write the image cache {path.parent}: {cause.strerror or cause}; {REMEDY}"
        ) from cause
    if images is None:
        raise SslbenchError(f"the image cache {path} cannot be read back; {REMEDY}")
    return images


def write_blocks(target: IO[bytes], shape: tuple[int, ...], blocks: Iterable[Pixels]) -> None:
    """Write an array block by block with plain writes: on a full disk they raise an error, a memory-mapped file would crash."""
    np.lib.format.write_array_header_1_0(target, {"descr": "|u1", "fortran_order": False, "shape": shape})
    for block in blocks:
        target.write(np.ascontiguousarray(block).data)


def _open_valid(path: Path) -> Pixels | None:
    try:
        images = np.lib.format.open_memmap(path, mode="c")
    except (OSError, ValueError):
        return None
    complete = images.dtype == np.uint8 and images.ndim == 4 and path.stat().st_size == images.offset + images.nbytes
    return images if complete else None


def _fill(temporary: Path, build: Callable[[IO[bytes]], None]) -> None:
    with temporary.open("w+b") as target:
        build(target)
