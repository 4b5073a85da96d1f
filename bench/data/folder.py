"""Read a user's own images from a directory or zip: decoded once, in parallel, into the cache."""

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

from bench.data.cache import cached, write_blocks
from bench.data.decode import decode
from bench.data.layout import layout
from bench.data.listing import Listing, listing
from bench.data.raw import Pixels, RawData
from bench.errors import SslbenchError

_BLOCK = 64


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images of a directory or zip, ``size`` pixels wide, with one channel if all of them are grey; ``name`` is not used.

    Raises:
        SslbenchError: The folder does not exist, is not safe to read, has too few classes or contains a corrupt image, or the cache
            cannot be written.
    """
    with listing(folder) as files:
        parts = layout(files.names, str(folder))
        labelled = [*parts.train, *parts.test]
        paths = [*(image for image, _ in labelled), *parts.unlabelled]

        def build(target: IO[bytes]) -> None:
            if parts.ignored:
                ignored = f"{len(parts.ignored)} files that are not images or not in a class folder"
                print(f"{folder}: ignored {ignored} (first: {parts.ignored[0]})", file=sys.stderr)
            print(f"{folder}: decoding {len(paths)} images, only this once", file=sys.stderr)
            _decode_all(files, paths, size, target)

        images = cached(f"{files.fingerprint} {size}", build)
    labels = np.array([label for _, label in labelled], np.int64)
    train, end = len(parts.train), len(labelled)
    return RawData(
        parts.class_names,
        images[:train],
        labels[:train],
        images[train:end] if parts.test else None,
        labels[train:] if parts.test else None,
        images[end:] if parts.unlabelled else None,
    )


def _decode_all(files: Listing, names: Sequence[str], size: int, target: IO[bytes]) -> None:
    grey = True

    def blocks() -> Iterator[Pixels]:
        nonlocal grey
        for block in _decoded(files, names, size):
            grey = grey and bool((block == block[:, :1]).all())
            yield block

    write_blocks(target, (len(names), 3, size, size), blocks())
    if grey:
        _keep_first_channel(target, len(names), size)


def _decoded(files: Listing, names: Sequence[str], size: int) -> Iterator[Pixels]:
    """Yield blocks of decoded images in order; a few blocks are decoded ahead."""

    def decode_one(name: str) -> Pixels:
        try:
            return decode(files.read(name), size)
        except ValueError as cause:
            raise SslbenchError(f"{name} in {files.path} is a corrupt image ({cause}): repair or remove it") from cause

    def block(start: int) -> Pixels:
        return np.stack([decode_one(name) for name in names[start : start + _BLOCK]])

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[Pixels]] = deque()
        try:
            for start in range(0, len(names), _BLOCK):
                ahead.append(pool.submit(block, start))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _keep_first_channel(target: IO[bytes], count: int, size: int) -> None:
    """Rewrite an array with three equal channels in place with one channel: a block is read before its place is overwritten."""
    side = size * size
    start = target.tell() - count * 3 * side

    def blocks() -> Iterator[Pixels]:
        for first in range(0, count, _BLOCK):
            images = min(_BLOCK, count - first)
            written = target.tell()
            target.seek(start + first * 3 * side)
            block = np.frombuffer(target.read(images * 3 * side), np.uint8).reshape(images, 3, size, size)
            target.seek(written)
            yield block[:, :1]

    target.seek(0)
    write_blocks(target, (count, 1, size, size), blocks())
    target.truncate()
