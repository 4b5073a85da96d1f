import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data import load
from bench.data.listing import listing
from bench.errors import SslbenchError

Folder = Callable[..., Path]


def _pack(folder: Path, extra: Callable[[zipfile.ZipFile], None] = lambda archive: None) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
        extra(archive)
    return target


def _symlink(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("class-0/link.png")
    member.create_system = 3
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(member, "../../../etc/hostname")


def _twice(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("class-0/0.png", b"again")


def _huge(archive: zipfile.ZipFile) -> None:
    with archive.open("class-0/huge.png", "w") as member:
        for _ in range(257):
            member.write(bytes(2**20))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (lambda archive: archive.writestr("../outside.png", b""), "outside the archive"),
        (lambda archive: archive.writestr("class-0/../../outside.png", b""), "outside the archive"),
        (lambda archive: archive.writestr("class-0\\..\\..\\outside.png", b""), "outside the archive"),
        (lambda archive: archive.writestr("/etc/outside.png", b""), "outside the archive"),
        (lambda archive: archive.writestr("C:/outside.png", b""), "outside the archive"),
        (lambda archive: archive.writestr(".hidden/../../outside", b""), "outside the archive"),
        (lambda archive: archive.writestr("class-0/\x1b[2J.png", b""), "control characters"),
        (_symlink, "symbolic link"),
        (_twice, "twice"),
        (_huge, "more than the 268435456 of an image"),
    ],
)
def test_unsafe_zip_is_refused(digit_folder: Folder, extra: Callable[[zipfile.ZipFile], None], message: str) -> None:
    path = _pack(digit_folder(), extra)
    with pytest.raises(SslbenchError, match=message) as caught:
        load(f"folder:{path}", image_size=8)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_zip_of_many_highly_compressed_files_is_refused(digit_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.archive.MAX_TOTAL_BYTES", 2**20)
    blank = bytes(2**20)
    path = _pack(
        digit_folder(), lambda archive: [archive.writestr(f"class-0/{at}.bmp", blank) for at in range(5)] and None
    )
    with pytest.raises(SslbenchError, match="like a zip bomb"):
        load(f"folder:{path}", image_size=8)


def test_error_for_a_truncated_zip_names_it(digit_folder: Folder) -> None:
    path = _pack(digit_folder())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SslbenchError, match=rf"{path.name} is not a readable zip"):
        load(f"folder:{path}", image_size=8)


def test_error_for_a_corrupt_image_in_a_zip_names_it(digit_folder: Folder) -> None:
    path = _pack(digit_folder())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("class-1/3.png")
    data = bytearray(path.read_bytes())
    at = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SslbenchError, match=r"class-1/3\.png in .*pictures\.zip is corrupt"):
        load(f"folder:{path}", image_size=8)


def test_encrypted_zip_is_refused(digit_folder: Folder) -> None:
    path = _pack(digit_folder())
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(SslbenchError, match="is encrypted"):
        load(f"folder:{path}", image_size=8)


def test_error_for_a_missing_path_or_a_file_that_is_not_a_zip_names_it(tmp_path: Path) -> None:
    with pytest.raises(SslbenchError, match="nowhere does not exist"):
        load(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(SslbenchError, match=r"text\.zip is not a readable zip"):
        load(f"folder:{tmp_path / 'text.zip'}")


def test_hidden_files_and_resource_forks_are_ignored(digit_folder: Folder) -> None:
    def extra(archive: zipfile.ZipFile) -> None:
        for name in ("__MACOSX/class-0/._0.png", ".DS_Store", "class-0/.thumbnail.png", "class-0/Thumbs.db"):
            archive.writestr(name, b"no image")

    folder = digit_folder()
    path = _pack(folder, extra)
    (folder / "class-0/._0.png").write_bytes(b"no image")
    for source in (path, folder):
        with listing(source) as files:
            assert files.names == [f"class-{label}/{index}.png" for label in (0, 1) for index in range(5)]


def test_link_to_a_parent_folder_is_not_followed(digit_folder: Folder) -> None:
    folder = digit_folder()
    (folder / "class-0/loop").symlink_to(folder, target_is_directory=True)
    (folder / "class-2").symlink_to(folder / "class-1", target_is_directory=True)
    with listing(folder) as files:
        assert {name.split("/")[0] for name in files.names} == {"class-0", "class-1", "class-2"}
        assert len(files.names) == 15


def test_zip_and_folder_of_the_same_images_are_the_same_task(digit_folder: Folder) -> None:
    folder = digit_folder()
    path = _pack(folder)
    moved = shutil.copy(path, folder.parent / "moved.zip")
    prints = {load(f"folder:{source}", image_size=8).fingerprint for source in (folder, path, moved)}
    assert len(prints) == 1
