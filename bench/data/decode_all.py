"""Decode the images of a directory or zip into one array, in parallel."""

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from bench.data.cache import write_blocks
from bench.data.decode import Decoded, decode
from bench.data.deep import used_depth
from bench.data.files import Listing
from bench.data.kinds import Unsupported
from bench.data.raw import Pixels
from bench.errors import SslbenchError
from bench.printable import printable

_BLOCK = 64
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

    def add(self, image: Decoded) -> None:
        self.grey.append(_is_grey(image.pixels))
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

    Args:
        files: The directory or zip.
        names: Paths of the images.
        train: Number of images of ``train``.
        size: Side in pixels.
        target: The file, open for writing and reading.

    Returns:
        Notes for the user, one line each.

    Raises:
        SslbenchError: An image is corrupt or of a kind that is not read; the message names it.
    """
    print(printable(f"{files.path}: decoding {len(names)} images, only this once"), file=sys.stderr)
    seen = _Seen()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of large images, which are read
        write_blocks(target, (len(names), 3, size, size), _blocks(files, names, size, 16, seen.add))
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


def _blocks(
    files: Listing, names: Sequence[str], size: int, depth: int, see: Callable[[Decoded], None]
) -> Iterator[Pixels]:
    """Yield blocks of decoded images in order; a few blocks are decoded ahead."""

    def block(start: int) -> list[Decoded]:
        return [_decode_one(files, name, size, depth) for name in names[start : start + _BLOCK]]

    def finished(future: "Future[list[Decoded]]") -> Pixels:
        images = future.result()
        for image in images:
            see(image)
        return np.stack([image.pixels for image in images])

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[list[Decoded]]] = deque()
        try:
            for start in range(0, len(names), _BLOCK):
                ahead.append(pool.submit(block, start))
                if len(ahead) > 2 * workers:
                    yield finished(ahead.popleft())
            while ahead:
                yield finished(ahead.popleft())
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
    start = end - len(names) * 3 * size * size
    at = iter(places)
    for block in _blocks(files, [names[place] for place in places], size, depth, lambda _: None):
        for pixels in block:
            place = next(at)
            seen.grey[place] = _is_grey(pixels)
            target.seek(start + place * 3 * size * size)
            target.write(pixels.data)
    target.seek(end)


def _to_one_channel(target: IO[bytes], count: int, size: int) -> None:
    """Rewrite an array of three channels in place with one channel: a block is read before its place is overwritten."""
    side = size * size
    start = target.tell() - count * 3 * side

    def blocks() -> Iterator[Pixels]:
        for first in range(0, count, _BLOCK):
            images = min(_BLOCK, count - first)
            written = target.tell()
            target.seek(start + first * 3 * side)
            block = np.frombuffer(target.read(images * 3 * side), np.uint8).reshape(images, 3, size, size)
            target.seek(written)
            yield _grey(block)

    target.seek(0)
    write_blocks(target, (count, 1, size, size), blocks())
    target.truncate()


def _grey(block: Pixels) -> Pixels:
    """Return N×1×H×W; images with three equal channels keep their values exactly."""
    red, green, blue = (block[:, at : at + 1].astype(np.uint32) * weight for at, weight in enumerate(_LUMA))
    return ((red + green + blue + 2**15) >> 16).astype(np.uint8)


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels == pixels[:1]).all())
