"""Decode the images of a directory or zip into one array, on all cores; a killed decoding is continued."""

import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from bench.data.cache import write_blocks, write_header
from bench.data.decode import Decoded, Facts, decode
from bench.data.deep import used_depth
from bench.data.files import Listing
from bench.data.journal import Journal
from bench.data.kinds import Unsupported
from bench.data.raw import Pixels
from bench.device import cores
from bench.errors import SslbenchError
from bench.printable import printable

_BLOCK_IMAGES = 64
_BLOCK_BYTES = 8 * 2**20
"""Large images are decoded in smaller blocks, because every core has several blocks in memory."""
_SECONDS = 10.0
"""Time between two lines of progress."""
_LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in grey, in 65,536ths (ITU-R BT.601, as Pillow rounds them)."""


@dataclass
class _Seen:
    """What was seen in the images.

    Attributes:
        grey: Whether each image is grey.
        deep: Position -> largest value of each 16-bit image.
        smallest: Pixels, width and height of the image with the fewest pixels.
        largest: Pixels, width and height of the image with the most pixels.
    """

    grey: list[bool] = field(default_factory=list)
    deep: dict[int, int] = field(default_factory=dict)
    smallest: tuple[int, int, int] | None = None
    largest: tuple[int, int, int] = (0, 0, 0)

    def add(self, image: Facts) -> None:
        self.grey.append(image.grey)
        if image.peak is not None:
            self.deep[len(self.grey) - 1] = image.peak
        size = (image.width * image.height, image.width, image.height)
        self.smallest = min(self.smallest or size, size)
        self.largest = max(self.largest, size)

    def sizes(self) -> str:
        """Return the range of sizes as text."""
        first, last = (f"{width}×{height}" for _, width, height in (self.smallest or self.largest, self.largest))
        return first if first == last else f"{first} to {last}"


def decode_all(files: Listing, names: Sequence[str], train: int, size: int, target: IO[bytes]) -> list[str]:
    """Write all images into a file in numpy's format, as N×1×size×size if those of ``train`` are grey, else as N×3×size×size.

    How values of 16 bits and colours are reduced is decided by ``train`` alone, the first images: nothing is learned from test images.
    What a killed process has decoded into the same file is not decoded again.

    Args:
        files: The directory or zip.
        names: Paths of the images.
        train: Number of images of ``train``.
        size: Side in pixels.
        target: The file, open for writing and reading; a journal is kept next to it.

    Returns:
        Notes for the user, one line each.

    Raises:
        SslbenchError: An image is corrupt or of a kind that is not read; the message names it.
    """
    seen = _Seen()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of large images, which are read
        _decode_new(files, names, size, seen, target)
        notes = [f"image files of {seen.sizes()} pixels, resized to {size}×{size}"]
        depth = used_depth(max((peak for at, peak in seen.deep.items() if at < train), default=2**16 - 1))
        if seen.deep and depth < 16:
            _decode_again(files, names, size, depth, seen, target)
            notes.append(
                f"16-bit images: those of train use {depth} bits, so {2**depth - 1} and more became 255 for all of them"
            )
    if all(seen.grey[:train]):
        _to_one_channel(target, len(names), size)
        if coloured := seen.grey.count(False):
            notes.append(f"all training images are grey: {coloured} other images in colour were turned to grey")
    return notes


def bytes_of(images: int, size: int) -> int:
    """Return the bytes of decoded images while they are written."""
    return images * 3 * size * size


def _decode_new(files: Listing, names: Sequence[str], size: int, seen: _Seen, target: IO[bytes]) -> None:
    """Decode the images that are not yet in the file, and add the facts of all images to ``seen``."""
    write_header(target, (len(names), 3, size, size))
    journal = Journal(target, target.tell(), bytes_of(1, size))
    for facts in journal.resume():
        seen.add(facts)
    done = first = len(seen.grey)
    resumed = f"; {done} are already decoded" if done else ""
    _tell(f"{files.path}: decoding {len(names)} images, only this once{resumed}")
    started = told = time.monotonic()
    for images in _blocks(files, names[done:], size, 16):
        block = [image.facts for image in images]
        journal.add(np.stack([image.pixels for image in images]), block)
        for facts in block:
            seen.add(facts)
        done += len(block)
        if (now := time.monotonic()) - told >= _SECONDS:
            told = now
            left = (now - started) / (done - first) * (len(names) - done)
            _tell(f"{files.path}: {done} of {len(names)} images decoded, about {left / 60:.0f} min left")
    target.truncate()


def _tell(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def _blocks(files: Listing, names: Sequence[str], size: int, depth: int) -> Iterator[list[Decoded]]:
    """Yield blocks of decoded images in order; a few blocks are decoded ahead, on all cores."""
    length = max(1, min(_BLOCK_IMAGES, _BLOCK_BYTES // bytes_of(1, size)))

    def block(start: int) -> list[Decoded]:
        return [_decode_one(files, name, size, depth) for name in names[start : start + length]]

    workers = cores()
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[list[Decoded]]] = deque()
        try:
            for start in range(0, len(names), length):
                ahead.append(pool.submit(block, start))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _decode_one(files: Listing, name: str, size: int, depth: int) -> Decoded:
    try:
        return decode(files.read(name), size, depth)
    except Unsupported as cause:
        raise SslbenchError(
            printable(f"{name} in {files.path} cannot be used ({cause}): convert or remove it")
        ) from cause
    except MemoryError as cause:
        raise SslbenchError(
            printable(f"{name} in {files.path} needs more memory than there is: make it smaller")
        ) from cause
    except ValueError as cause:
        raise SslbenchError(
            printable(f"{name} in {files.path} is a corrupt image ({cause}): repair or remove it")
        ) from cause


def _decode_again(files: Listing, names: Sequence[str], size: int, depth: int, seen: _Seen, target: IO[bytes]) -> None:
    """Decode the 16-bit images again with the number of bits that ``train`` uses, and write them over the first ones."""
    end, places = target.tell(), list(seen.deep)
    start = end - bytes_of(len(names), size)
    at = iter(places)
    for images in _blocks(files, [names[place] for place in places], size, depth):
        for image in images:
            place = next(at)
            seen.grey[place] = image.facts.grey
            target.seek(start + bytes_of(place, size))
            target.write(image.pixels.data)
    target.seek(end)


def _to_one_channel(target: IO[bytes], count: int, size: int) -> None:
    """Rewrite an array of three channels in place with one channel: a block is read before its place is overwritten."""
    side = size * size
    start = target.tell() - count * 3 * side

    def blocks() -> Iterator[Pixels]:
        for first in range(0, count, _BLOCK_IMAGES):
            images = min(_BLOCK_IMAGES, count - first)
            written = target.tell()
            target.seek(start + first * 3 * side)
            block = np.frombuffer(target.read(images * 3 * side), np.uint8).reshape(images, 3, size, size)
            target.seek(written)
            yield grey(block)

    target.seek(0)
    write_blocks(target, (count, 1, size, size), blocks())


def grey(block: Pixels) -> Pixels:
    """Return N×1×H×W; images with three equal channels keep their values exactly."""
    red, green, blue = (block[:, at : at + 1].astype(np.uint32) * weight for at, weight in enumerate(_LUMA))
    return ((red + green + blue + 2**15) >> 16).astype(np.uint8)
