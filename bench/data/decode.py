"""Decode an image file into uint8 pixels of a given size, for every colour mode, bit depth and orientation."""

import io
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.data.deep import colours_from_png, depth_of_file, eight_bits, peak_of
from bench.data.kinds import Unsupported
from bench.data.metadata import upright, without_metadata
from bench.data.raw import Pixels
from bench.printable import printable

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 2**27
MAX_ASPECT = 100
_LARGE = 2**24
"""Images with more pixels are decoded one at a time, so that several threads never hold several of them (4 bytes per pixel and copy)."""
_large = Lock()
_BAND = 2**22


@dataclass(frozen=True)
class Facts:
    """What was seen in an image file.

    Attributes:
        grey: Whether the channels of the decoded image are equal.
        width: Width in the file, in pixels.
        height: Height in the file, in pixels.
        peak: Largest value of a 16-bit image, without transparency; None for an image of 8 bits.
    """

    grey: bool
    width: int
    height: int
    peak: int | None


@dataclass(frozen=True)
class Decoded:
    """A decoded image: uint8 3×size×size, and the facts of its file."""

    pixels: Pixels
    facts: Facts


def decode(data: bytes, size: int, depth: int = 16) -> Decoded:
    """Decode an image: shorter side resized (antialiased bilinear), centre cropped.

    Grey is repeated over three channels, transparent pixels are blended with white, the EXIF orientation is applied, and the first
    frame of an animation is returned. Metadata that cannot be read is ignored.

    Args:
        data: The bytes of the file.
        size: Side in pixels.
        depth: Number of bits that the values of 16-bit images use: 2^depth − 1 becomes 255.

    Raises:
        Unsupported: The image has more than ``MAX_PIXELS`` pixels, is too narrow, or has pixels without a fixed range or in LAB.
        ValueError: The bytes are not a complete image of one of ``FORMATS``; one line.
    """
    try:
        return _decode(data, size, depth)
    except (MemoryError, Unsupported):
        raise
    except Image.DecompressionBombError as cause:
        raise Unsupported(f"it has more than {MAX_PIXELS:,} pixels") from cause
    except Exception as cause:  # a corrupt file and odd metadata can raise any exception in Pillow
        pixels_only = without_metadata(data)
        if pixels_only is not None:
            try:
                return _decode(pixels_only, size, depth)
            except (MemoryError, Unsupported):
                raise
            except Exception as again:
                raise ValueError(_reason(again)) from again
        raise ValueError(_reason(cause)) from cause


def _decode(data: bytes, size: int, depth: int) -> Decoded:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Unsupported(f"{width}×{height} pixels are more than {MAX_PIXELS:,}")
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise Unsupported(f"{width}×{height} pixels are too narrow for a centre crop")
        one_at_a_time: AbstractContextManager[object] = _large if width * height > _LARGE else nullcontext()
        deep = depth_of_file(image) == 16
        with one_at_a_time:
            image.load()
            peak = peak_of(image) if deep else None
            pixels = _resized(upright(_eight_bits(image, data, peak, depth)), size)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[None], 3, axis=0)
    else:
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return Decoded(pixels, Facts(bool((pixels == pixels[:1]).all()), width, height, peak))


def _reason(cause: Exception) -> str:
    if isinstance(cause, UnidentifiedImageError):
        return "not an image of a known format"
    return printable(" ".join(str(cause).split()) or type(cause).__name__, 200)


def _eight_bits(image: Image.Image, data: bytes, peak: int | None, depth: int) -> Image.Image:
    """Return the image in mode L or RGB."""
    if image.mode == "F":
        raise Unsupported("floating-point pixels have no fixed range")
    if image.mode == "LAB":
        raise Unsupported("the colours are LAB, not RGB")
    if image.mode == "I" or image.mode.startswith("I;16"):
        if peak is None or not 0 <= peak < 2**16:
            raise Unsupported("pixels of 32 bits or with a sign have no fixed range")
        return eight_bits(image, depth)
    if peak is not None and depth < 16:
        image = colours_from_png(data, depth)
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Blend an image with white, band by band, so that no large copies are made."""
    blended = Image.new("RGB", image.size)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        blended.paste(Image.alpha_composite(white, band).convert("RGB"), (0, top))
    return blended


def _resized(image: Image.Image, size: int) -> Pixels:
    """Resize the shorter side and crop the centre, with the same rounding as torchvision's ``Resize`` and ``CenterCrop``."""
    short = min(image.size)
    width, height = (size * side // short for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))
