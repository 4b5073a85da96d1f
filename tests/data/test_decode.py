import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from bench.data import load
from bench.data.decode import decode as decode_file
from bench.data.describe import description
from bench.data.kinds import Unsupported
from bench.data.listing import listing
from bench.data.raw import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def decode(data: bytes, size: int) -> Pixels:
    return decode_file(data, size).pixels


def _jpegs(shared_data: Path, count: int) -> list[bytes]:
    with listing(shared_data / "imagenette-96.zip") as files:
        return [files.read(name) for name in files.names[:: len(files.names) // count][:count]]


@pytest.mark.parametrize("crop", [(0, 0, 96, 96), (10, 20, 96, 75), (3, 0, 60, 96)])
@pytest.mark.parametrize("size", [96, 64, 33, 120])
def test_resizing_equals_torchvision_on_real_photographs(shared_data: Path, crop: tuple[int, ...], size: int) -> None:
    for data in _jpegs(shared_data, 4):
        with Image.open(io.BytesIO(data)) as photograph:
            image = photograph.crop(crop)
        expected = CenterCrop(size)(Resize(size, InterpolationMode.BILINEAR)(image))
        assert (decode(_encoded(image), size) == np.asarray(expected).transpose(2, 0, 1)).all()


def test_grey_picture_gives_the_same_pixels_in_every_mode_and_format(digits: Pixels) -> None:
    grey = Image.fromarray(digits[0])
    sixteen = Image.fromarray(digits[0].astype(np.uint16) * 257)
    for data in (
        _encoded(grey),
        _encoded(grey.convert("RGB")),
        _encoded(grey.convert("P")),
        _encoded(grey.convert("LA")),
        _encoded(grey.convert("RGBA")),
        _encoded(sixteen),
        _encoded(sixteen, "TIFF"),
        _encoded(sixteen, "PPM"),
        _encoded(grey, "BMP"),
        _encoded(grey, "GIF"),
        _encoded(grey, "WEBP", lossless=True),
    ):
        assert (decode(data, 8) == digits[0]).all()


def test_transparent_pixels_become_white(digits: Pixels) -> None:
    picture = Image.fromarray(digits[0]).convert("RGBA")
    picture.putalpha(Image.fromarray(np.where(np.arange(64).reshape(8, 8) < 32, 255, 0).astype(np.uint8)))
    pixels = decode(_encoded(picture), 8)
    assert (pixels[:, :4] == digits[0][:4]).all() and (pixels[:, 4:] == 255).all()
    palette = picture.convert("P")
    palette.info["transparency"] = bytes(256)
    assert (decode(_encoded(palette), 8) == 255).all()


def test_cmyk_photograph_decodes_like_its_rgb_original(shared_data: Path) -> None:
    data = _jpegs(shared_data, 1)[0]
    with Image.open(io.BytesIO(data)) as image:
        cmyk = _encoded(image.convert("CMYK"), "JPEG", quality=95)
    assert abs(decode(cmyk, 96).astype(int) - decode(data, 96)).mean() < 6


def test_exif_orientation_is_applied(digits: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(_encoded(Image.fromarray(digits[0]), exif=exif), 8)
    assert (turned[0] == np.rot90(digits[0], -1)).all()


def test_truncated_images_and_other_files_are_errors_of_one_line(shared_data: Path, digits: Pixels) -> None:
    jpeg = _jpegs(shared_data, 1)[0]
    png = _encoded(Image.fromarray(np.tile(digits[0], (9, 9))))
    for data in (
        b"",
        b"no image",
        jpeg[:200],
        jpeg[: len(jpeg) // 2],
        png[: len(png) // 2],
        png[:40],
        b"%!PS-Adobe-3.0 EPSF",
    ):
        with pytest.raises(ValueError) as caught:
            decode(data, 8)
        assert str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_huge_and_very_narrow_images_are_refused() -> None:
    with pytest.raises(ValueError, match="are more than 134,217,728"):
        decode(_encoded(Image.new("1", (20_000, 7_000))), 96)
    with pytest.raises(ValueError, match="too narrow"):
        decode(_encoded(Image.new("L", (5_000, 2))), 96)


def test_floating_point_and_32_bit_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="no fixed range"):
        decode(_encoded(Image.new("F", (8, 8), 0.5), "TIFF"), 8)
    with pytest.raises(ValueError, match="no fixed range"):
        decode(_encoded(Image.new("I", (8, 8), 70_000), "TIFF"), 8)


def _png(pixels: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG of 16 bits per channel, written by hand: Pillow does not write 16-bit colours."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def _exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF data with entries (tag, type, count, four bytes)."""
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
ODD_EXIF = {
    "sound": _exif(TURNED),
    "cut off after the orientation": _exif(TURNED, TURNED)[:26],
    "fraction of a wrong length": _exif(TURNED, (0x011A, 5, 2**31, b"\xff\xff\xff\xff")),
    "numbers for text": _exif((0x010F, 11, 1, b"\0\0\x80\x3f"), TURNED),
    "unknown type": _exif((0x0131, 99, 7, b"abcd"), TURNED),
    "two orientations": _exif((0x0112, 3, 2, struct.pack("<HH", 6, 6))),
    "nested table outside of the file": _exif(TURNED, (0x8769, 4, 1, b"\xff\xff\xff\x7f")),
}
UNTURNED_EXIF = {
    "no table": b"no EXIF data",
    "empty": b"",
    "orientation 0": _exif((0x0112, 3, 1, bytes(4))),
    "orientation in words": _exif((0x0112, 2, 4, b"top\0")),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ODD_EXIF | UNTURNED_EXIF)
def test_image_with_odd_exif_is_read_and_turned_where_the_orientation_can_be_read(name: str, digits: Pixels) -> None:
    exif = (ODD_EXIF | UNTURNED_EXIF)[name]
    upright = np.rot90(digits[0], -1) if name in ODD_EXIF else digits[0]
    image = Image.fromarray(digits[0])
    png = _encoded(image)
    in_png = png[:33] + _chunk(b"eXIf", exif) + png[33:]
    for data in (in_png, _encoded(image, "WEBP", lossless=True, exif=b"Exif\0\0" + exif)):
        assert (decode(data, 8)[0] == upright).all()
    jpeg = _encoded(image, "JPEG", quality=100, exif=b"Exif\0\0" + exif)
    assert abs(decode(jpeg, 8)[0].astype(int) - upright).max() <= 3


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(b"tEXt", b"comment\0wrong checksum", 1),
        _chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(4 * 2**20))),
        _chunk(b"iCCP", b"profile\0\x09not compressed"),
        _chunk(b"gAMA", b""),
        _chunk(b"pHYs", b"short"),
        _chunk(b"acTL", b""),
        _chunk(b"fdAT", bytes(20)),
    ],
)
def test_png_with_odd_metadata_is_read(chunk: bytes, digits: Pixels) -> None:
    png = _encoded(Image.fromarray(digits[0]))
    for data in (png[:33] + chunk + png[33:], png[:-12] + chunk + png[-12:]):
        assert (decode(data, 8) == digits[0]).all()
        pixels = data.index(b"IDAT") + 6
        with pytest.raises(ValueError):
            decode(data[:pixels] + b"damaged" + data[pixels + 7 :], 8)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_jpeg_and_tiff_with_odd_metadata_are_read(digits: Pixels) -> None:
    jpeg = _encoded(Image.fromarray(digits[0]), "JPEG", quality=100)
    for marker, content in ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xED, b"Photoshop 3.0\0008BIM\x03\xed")):
        data = jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]
        assert (decode(data, 8) == decode(jpeg, 8)).all()
    tiff = _encoded(Image.fromarray(digits[0]), "TIFF")
    (start,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, start)
    for odd in ((0x0112, 5, 1, b"\xff\xff\xff\x7f"), (0x02BC, 4, 1, b"abcd"), (0x010E, 2, 5, b"\xff\xff\xff\x7f")):
        entry = struct.pack("<HHI", *odd[:3]) + odd[3]
        table = struct.pack("<H", count + 1) + tiff[start + 2 : start + 2 + 12 * count] + entry + bytes(4)
        data = tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + table
        assert (decode(data, 8) == digits[0]).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
def test_16_bit_images_of_every_depth_keep_their_values(depth: int, colour_type: int) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    highest = 2**depth - 1
    wide = np.random.default_rng(depth).integers(0, highest, (8, 8, channels), endpoint=True)
    wide[0, 0] = highest
    if colour_type in (4, 6):
        wide[..., -1] = highest
    found = decode_file(_png(wide, colour_type), 8, depth)
    assert found.facts.peak == highest
    expected = np.rint(wide[..., : 3 if channels > 2 else 1] * (255 / highest)).transpose(2, 0, 1)
    # Pillow keeps the upper byte of 16-bit colours.
    tolerance = 1 if depth == 16 and colour_type else 0
    assert abs(found.pixels - expected).max() <= tolerance


def test_depth_of_16_bit_images_is_that_of_the_training_images(tmp_path: Path, digits: Pixels) -> None:
    for part, count in (("train", 6), ("test", 2)):
        for label in (0, 1):
            (tmp_path / part / str(label)).mkdir(parents=True)
            for at in range(count):
                pixels = digits[label + 10 * at].astype(np.uint16) * (4095 // 255)
                Image.fromarray(pixels).save(tmp_path / part / str(label) / f"{at}.png")
    bright = np.full((8, 8), 60_000, np.uint16)
    Image.fromarray(bright).save(tmp_path / "test/0/bright.png")
    Image.fromarray(digits[3]).save(tmp_path / "train/0/eight-bits.png")
    dataset = load(f"folder:{tmp_path}", image_size=8)
    expected = np.rint(digits[0].astype(int) * (4095 // 255) * (255 / 4095))
    assert (dataset.train_images[0, 0].numpy() == expected).all()
    assert (dataset.train_images[6, 0].numpy() == digits[3]).all(), "8-bit images stay as they are"
    assert dataset.test_images[2].unique().tolist() == [255]
    assert any("those of train use 12 bits" in line for line in description(dataset))


def test_images_of_other_kinds_are_refused_by_name(digits: Pixels) -> None:
    with pytest.raises(Unsupported, match="LAB"):
        decode(_encoded(Image.new("LAB", (8, 8)), "TIFF"), 8)
    with pytest.raises(ValueError, match="not an image of a known format"):
        decode(b"\0\0\0\x20ftypavif" + bytes(300), 8)
