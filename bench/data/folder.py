"""A user's own images, a directory or zip: decoded once, in parallel, into the cache."""

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

from bench.data.cache import cached, write_blocks
from bench.data.catalogue import FOLDER
from bench.data.decode import decode
from bench.data.layout import layout
from bench.data.listing import Listing, listing
from bench.data.raw import Pixels, RawData
from bench.errors import SslbenchError
from bench.filenames import slug

_BLOCK = 64


def read(path: Path, size: int) -> RawData:
    """Return the images of a directory or zip, ``size`` pixels wide; of one channel where every image of it is grey.

    Raises:
        SslbenchError: It is not there, is not safe to read, lacks classes, holds a corrupt image (named), or the cache cannot be
            written.
    """
    with listing(path) as files:
        parts = layout(files.names, str(path))
        labelled = [*parts.train, *parts.test]
        names = [*(name for name, _ in labelled), *parts.unlabelled]

        def build(target: IO[bytes]) -> None:
            if parts.left_out:
                some = f"{len(parts.left_out)} files that are no images or lie in no class"
                print(f"{path}: left out {some} (first: {parts.left_out[0]})", file=sys.stderr)
            print(f"{path}: decoding {len(names)} images, once", file=sys.stderr)
            _decode_all(files, names, size, target)

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


def name_of(path: Path, fingerprint: str) -> str:
    """Return the name of a folder in records: readable, fit for a file name, and its own by eight digits of the content's hash."""
    name = path.stem if path.is_file() else path.resolve().name
    return slug(FOLDER + name, fingerprint)


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
    """Yield blocks of decoded images in order, a few blocks ahead of the reader."""

    def one(name: str) -> Pixels:
        try:
            return decode(files.read(name), size)
        except ValueError as cause:
            raise SslbenchError(f"{name} in {files.path} is a corrupt image ({cause}): repair or remove it") from cause

    def block(start: int) -> Pixels:
        return np.stack([one(name) for name in names[start : start + _BLOCK]])

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
    """Rewrite an array of three equal channels in place as one of a single channel: reading runs ahead of writing."""
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
