"""Decoded images, kept once: a memory-mapped uint8 array a source, under the user's cache directory."""

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

FORM = 1
"""Goes up whenever decoding changes pixels: what was kept before is then made anew."""
REMEDY = "make room, or name another folder in SSLBENCH_CACHE"


def cached(source: str, build: Callable[[IO[bytes]], None]) -> Pixels:
    """Return the array of a source, mapped from its file; copy-on-write, so the file never changes.

    Args:
        source: What tells this source from another and from its own later versions.
        build: Writes the array in numpy's format into an open file; called only where there is no sound array yet. Two processes
            call it once.

    Raises:
        SslbenchError: The cache cannot be written, for example on a full disk.
    """
    key = hashlib.blake2b(f"{FORM}\0{source}".encode(), digest_size=16).hexdigest()
    path = cache_folder() / "images" / f"{key}.npy"
    if (images := _sound(path)) is not None:
        return images
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if (images := _sound(path)) is None:
                # Under the lock nobody else writes: these are of the killed, and as large as the array.
                for part in leftovers(path):
                    part.unlink()
                write_whole(path, lambda part: _fill(part, build), REMEDY)
                images = _sound(path)
    except OSError as cause:
        raise SslbenchError(
            f"cannot write the image cache {path.parent}: {cause.strerror or cause}; {REMEDY}"
        ) from cause
    if images is None:
        raise SslbenchError(f"the image cache {path} cannot be read back; {REMEDY}")
    return images


def write_blocks(target: IO[bytes], shape: tuple[int, ...], blocks: Iterable[Pixels]) -> None:
    """Write an array of a known shape block by block, by plain writes: a full disk is an error there, a crash in a mapped file."""
    np.lib.format.write_array_header_1_0(target, {"descr": "|u1", "fortran_order": False, "shape": shape})
    for block in blocks:
        target.write(np.ascontiguousarray(block).data)


def _sound(path: Path) -> Pixels | None:
    try:
        images = np.lib.format.open_memmap(path, mode="c")
    except (OSError, ValueError):
        return None
    whole = images.dtype == np.uint8 and images.ndim == 4 and path.stat().st_size == images.offset + images.nbytes
    return images if whole else None


def _fill(part: Path, build: Callable[[IO[bytes]], None]) -> None:
    with part.open("w+b") as target:
        build(target)
