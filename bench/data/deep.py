"""Images of 16 bits per channel, reduced to 8: the bits that a data set really uses are kept.

Cameras, microscopes and scanners write 10, 12 or 14 bits into files of 16. All 16-bit images of a data set are scaled alike: the
largest value of any of them in ``train``, rounded up to 8, 10, 12, 14 or 16 bits, becomes 255.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from bench.data.kinds import Unsupported
from bench.data.raw import Pixels

Wide = npt.NDArray[np.integer[Any]]
"""Height × width."""
DEPTHS = (8, 10, 12, 14, 16)
_BAND = 2**22


def depth_of_file(image: Image.Image) -> int:
    """Return 16 for an opened image with 16 bits per channel, else 8; call this before its pixels are loaded."""
    raw_modes = [tile[3] if isinstance(tile[3], str) else (tile[3] or [""])[0] for tile in getattr(image, "tile", [])]
    colour = any(isinstance(mode, str) and ";16" in mode for mode in raw_modes)
    return 16 if colour or image.mode == "I" or image.mode.startswith("I;16") else 8


def used_depth(peak: int) -> int:
    """Return the number of bits that values up to ``peak`` need, one of ``DEPTHS``."""
    return next(depth for depth in DEPTHS if peak < 2**depth)


def peak_of(image: Image.Image) -> int:
    """Return the largest value of a loaded 16-bit image, without transparency; −1 if a value is negative.

    Pillow keeps only the upper byte of 16-bit colours, so their value is rounded up to the next multiple of 256 minus one.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        lowest, highest = 0, 0
        for band in _bands(np.asarray(image)):
            lowest, highest = min(lowest, int(band.min())), max(highest, int(band.max()))
        return highest if lowest >= 0 else -1
    extrema = image.getextrema()
    channels = [int(high) for _, high in extrema[: min(len(extrema), 3)]]  # type: ignore[misc]
    return max(channels) * 256 + 255


def eight_bits(image: Image.Image, depth: int) -> Image.Image:
    """Return a grey 16-bit image in mode L; 2^depth − 1 and all larger values become 255."""
    return _narrowed(np.asarray(image), depth)


def colours_from_png(data: bytes, depth: int) -> Image.Image:
    """Return a 16-bit colour PNG in mode L, LA, RGB or RGBA, with all of its bits, unlike Pillow.

    Raises:
        Unsupported: The file is no PNG.
    """
    if not data.startswith(b"\x89PNG"):
        raise Unsupported(f"colours of 16 bits of which only {depth} are used can be read only from a PNG")
    try:
        from torchvision.io import decode_png
    except ImportError as cause:  # torchvision has announced to remove it
        raise Unsupported(f"colours of 16 bits of which only {depth} are used need torchvision's decode_png") from cause

    wide = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8)).numpy()
    channels = [_narrowed(channel, depth) for channel in wide[: 3 if len(wide) >= 3 else 1]]
    if len(wide) in (2, 4):
        channels.append(_narrowed(wide[-1], depth if wide[-1].max() < 2**depth else 16))
    return channels[0] if len(channels) == 1 else Image.merge(("LA", "RGB", "RGBA")[len(channels) - 2], channels)


def _table(depth: int) -> Pixels:
    """Return the 8-bit value of each 16-bit value, rounded."""
    highest = 2**depth - 1
    values: Pixels = ((np.minimum(np.arange(2**16), highest) * 255 + highest // 2) // highest).astype(np.uint8)
    return values


def _narrowed(wide: Wide, depth: int) -> Image.Image:
    """Return values of 16 bits in mode L."""
    table = _table(depth)
    return Image.fromarray(np.concatenate([table[band] for band in _bands(wide)]))


def _bands(wide: Wide) -> Iterator[Wide]:
    """Yield pieces of an image: numpy needs 8 bytes per value to look them up."""
    rows = max(1, _BAND // wide.shape[1])
    return (wide[top : top + rows] for top in range(0, len(wide), rows))
