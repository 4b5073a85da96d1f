"""Decode an image file into uint8 pixels of a given size, for every colour mode, bit depth and orientation."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.raw import Pixels

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
)
MAX_PIXELS = 2**27
MAX_ASPECT = 100


def decode(data: bytes, size: int) -> Pixels:
    """Return an image as uint8 3×size×size: shorter side resized (antialiased bilinear), centre cropped.

    Grey is repeated over three channels, 16 bits are reduced to 8, transparent pixels are blended with white, the EXIF orientation is
    applied, and the first frame of an animation is returned.

    Raises:
        ValueError: The bytes are not a complete image of one of ``FORMATS``, or its size or pixel type is not supported; one line.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width}×{height} pixels are too many")
            if max(width, height) > MAX_ASPECT * min(width, height):
                raise ValueError(f"{width}×{height} pixels are too narrow for a centre crop")
            image.load()
            pixels = _resized(_eight_bits(ImageOps.exif_transpose(image)), size)
    except UnidentifiedImageError as cause:
        raise ValueError("not an image of a known format") from cause
    except MemoryError:
        raise
    except Exception as cause:  # a corrupt file can raise any exception in Pillow's decoders
        raise ValueError(" ".join(str(cause).split()) or type(cause).__name__) from cause
    if pixels.ndim == 2:
        return np.repeat(pixels[None], 3, axis=0)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return the image in mode L or RGB."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode == "I" or image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError("32-bit pixels have no fixed range")
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _resized(image: Image.Image, size: int) -> Pixels:
    """Resize the shorter side and crop the centre, with the same rounding as torchvision's ``Resize`` and ``CenterCrop``."""
    short = min(image.size)
    width, height = (size * side // short for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))
