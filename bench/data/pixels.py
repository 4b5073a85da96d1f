"""Pixels in memory as the bytes of an image file, for sources that contain no files."""

import numpy as np

from bench.data.raw import Pixels


def as_file(pixels: Pixels) -> bytes:
    """Return a netpbm file of uint8 pixels, H×W, H×W×1 or H×W×3; every value is kept."""
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    kind = b"P5" if pixels.ndim == 2 else b"P6"
    return b"%s %d %d 255\n" % (kind, pixels.shape[1], pixels.shape[0]) + np.ascontiguousarray(pixels).tobytes()
