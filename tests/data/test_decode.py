import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from bench.data.decode import decode as decode_file
from bench.data.listing import listing
from bench.data.raw import Pixels


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
