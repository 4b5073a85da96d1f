"""Images of 16 bits per channel, reduced to 8: the bits that a data set really uses are kept.

Cameras, microscopes and scanners write 10, 12 or 14 bits into files of 16. All 16-bit images of a data set are scaled alike: the
largest value of any of them in ``train``, rounded up to 8, 10, 12, 14 or 16 bits, becomes 255.
"""

import numpy as np
import torch
from PIL import Image

from bench.data.kinds import Unsupported
from bench.data.raw import Pixels

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
        for band in _bands(image):
            lowest, highest = min(lowest, int(band.min())), max(highest, int(band.max()))
        return highest if lowest >= 0 else -1
    extrema = image.getextrema()
    channels = [int(high) for _, high in extrema[: min(len(extrema), 3)]]  # type: ignore[misc]
    return max(channels) * 256 + 255


def eight_bits(image: Image.Image, depth: int) -> Image.Image:
    """Return a grey 16-bit image in mode L; 2^depth − 1 and all larger values become 255."""
    table = _table(depth)
    return Image.fromarray(np.concatenate([table[band] for band in _bands(image)]))


def colours_from_png(data: bytes, depth: int) -> Image.Image:
    """Return a 16-bit colour PNG in mode L, LA, RGB or RGBA, with all of its bits, unlike Pillow.

    Raises:
        Unsupported: The file is no PNG.
    """
    if not data.startswith(b"\x89PNG"):
        raise Unsupported(f"colours of 16 bits of which only {depth} are used can be read only from a PNG: convert it")
    from torchvision.io import decode_png

    wide = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8)).numpy()
    opaque = wide[: 3 if len(wide) >= 3 else 1]
    channels = list(_table(depth)[opaque])
    if len(wide) in (2, 4):
        alpha = wide[-1]
        channels.append(_table(depth if alpha.max() < 2**depth else 16)[alpha])
    return Image.merge(
        ("L", "LA", "RGB", "RGBA")[len(channels) - 1], [Image.fromarray(channel) for channel in channels]
    )


def _table(depth: int) -> Pixels:
    """Return the 8-bit value of each 16-bit value, rounded."""
    highest = 2**depth - 1
    scaled = (np.minimum(np.arange(2**16), highest) * 255 + highest // 2) // highest
    return np.asarray(scaled, dtype=np.uint8)


def _bands(image: Image.Image) -> "list[np.ndarray[tuple[int, int], np.dtype[np.int64]]]":
    pixels = np.asarray(image)
    rows = max(1, _BAND // image.width)
    return [pixels[top : top + rows] for top in range(0, image.height, rows)]
