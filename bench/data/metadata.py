"""Metadata of image files that Pillow cannot read: the orientation is still found, or the pixels are read without the metadata."""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_TIFF_TAGS = frozenset(
    (254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 338, 339, 347, 530, 531, 532)
)  # fmt: skip
"""Tags that pixels depend on."""
_SHORT = 3


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned by its EXIF or XMP orientation; unchanged if it has none or one that is not 1 to 8."""
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def without_metadata(data: bytes) -> bytes | None:
    """Return a JPEG, PNG or TIFF with nothing but its pixels and orientation; None if it is neither or too damaged to tell."""
    try:
        if data.startswith(_PNG):
            return _PNG + b"".join(_png_chunks(data))
        if data.startswith(b"\xff\xd8"):
            return b"\xff\xd8" + b"".join(_jpeg_segments(data))
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff_without_metadata(data)
    except struct.error:
        return None
    return None


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # odd metadata can raise any exception in Pillow
        value = _first_orientation(image.info.get("exif", b""))
    if isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, int) else 1


def _first_orientation(exif: bytes) -> int | None:
    """Return the orientation from the first directory of EXIF data, whatever the other entries are like."""
    start = max(exif.find(b"II*\0"), exif.find(b"MM\0*"))
    if start < 0:
        return None
    order = "<" if exif[start : start + 1] == b"I" else ">"
    try:
        for entry in _tiff_entries(exif[start:], order):
            tag, kind = struct.unpack_from(order + "HH", entry)
            if tag == _ORIENTATION and kind == _SHORT:
                return int(struct.unpack_from(order + "H", entry, 8)[0])
    except struct.error:
        return None
    return None


def _png_chunks(data: bytes) -> Iterator[bytes]:
    at = len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, chunk = data[at + 4 : at + 8], data[at : at + 12 + length]
        sound = chunk[-4:] == struct.pack(">I", zlib.crc32(chunk[4:-4]))
        if name in _PNG_CHUNKS or (name == b"eXIf" and sound):
            yield chunk
        at += len(chunk)


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    """Yield the segments with pixels, colour model and EXIF; all other segments for applications and comments are left out."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        segment = data[at : at + 2 + length]
        content = segment[4:]
        if marker == 0xDA:  # a scan: only pixels follow
            yield data[at:]
            return
        needed = (
            (content.startswith(b"JFIF\0") and len(content) >= 14)
            or (content.startswith(b"Adobe") and len(content) >= 12)
            or content.startswith(b"Exif\0")
        )
        if needed or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            yield segment
        at += 2 + length


def _tiff_without_metadata(data: bytes) -> bytes:
    """Return a TIFF whose first directory is replaced with one of the necessary entries, appended to the end."""
    order = "<" if data[:1] == b"I" else ">"
    entries = [entry for entry in _tiff_entries(data, order) if _is_needed(*struct.unpack_from(order + "HHI", entry))]
    data += bytes(len(data) % 2)
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + directory


def _is_needed(tag: int, kind: int, count: int) -> bool:
    return (kind, count) == (_SHORT, 1) if tag == _ORIENTATION else tag in _TIFF_TAGS


def _tiff_entries(data: bytes, order: str) -> Iterator[bytes]:
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    for number in range(count):
        entry = data[start + 2 + 12 * number :][:12]
        if len(entry) < 12:
            return
        yield entry
