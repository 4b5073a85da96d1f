import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

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


def _patch_central(path: Path, name: str, offset: int, value: bytes) -> None:
    """Write into the entry of a file in the zip's list of files."""
    data = bytearray(path.read_bytes())
    entry = data.rfind(name.encode()) - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + offset : entry + offset + len(value)] = value
    path.write_bytes(data)


def _in_little_memory(path: Path) -> str:
    """Load a zip in a process whose memory is limited to 300 MB more than it has after its imports; returns the error's line."""
    code = (
        "import resource, sys; from bench.data.loading import load; from bench.errors import SslbenchError\n"
        "import bench.data.folder\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)\n"
        "try: load('folder:' + sys.argv[1], image_size=8)\n"
        "except SslbenchError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and run.stdout.count("\n") == 1, run.stderr
    return run.stdout


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its memory from /proc")
def test_zip_that_declares_a_smaller_size_is_not_unpacked_further(digit_folder: Folder) -> None:
    def extra(archive: zipfile.ZipFile) -> None:
        with archive.open("class-0/bomb.png", "w", force_zip64=True) as member:
            for _ in range(1024):
                member.write(bytes(2**20))

    path = _pack(digit_folder(images=10), extra)
    _patch_central(path, "class-0/bomb.png", 24, (1000).to_bytes(4, "little"))
    assert "class-0/bomb.png in " in (line := _in_little_memory(path)) and "is corrupt" in line


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA"), (9, "Deflate64"), (77, "method 77")]
)
def test_zip_with_methods_other_than_deflate_is_refused_by_name(digit_folder: Folder, method: int, name: str) -> None:
    path = _pack(digit_folder())
    _patch_central(path, "class-1/3.png", 10, method.to_bytes(2, "little"))
    with pytest.raises(SslbenchError, match=rf"class-1/3\.png', compressed by {name}") as caught:
        load(f"folder:{path}", image_size=8)
    assert "\n" not in str(caught.value)


def test_zip_with_too_many_files_is_refused_before_they_are_listed(
    digit_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _pack(
        digit_folder(images=12), lambda archive: [archive.writestr(f"text/{at}.txt", "") for at in range(200)] and None
    )
    monkeypatch.setattr("bench.data.archive.MAX_ENTRIES", 100)
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda self: pytest.fail("the files were listed"))
    with pytest.raises(SslbenchError, match=r"contains more than 100 files"):
        load(f"folder:{path}", image_size=8)


def test_damage_at_any_place_of_a_zip_gives_one_line_or_the_same_images(digit_folder: Folder) -> None:
    path = _pack(digit_folder(images=6))
    sound = path.read_bytes()
    expected = load(f"folder:{path}", image_size=8)
    random = np.random.default_rng(0)
    for at in range(150):
        data = bytearray(sound)
        place = int(random.integers(len(data) // 2 if at % 2 else 0, len(data)))
        data[place : place + 4] = random.bytes(min(4, len(data) - place))
        path.write_bytes(data)
        try:
            found = load(f"folder:{path}", image_size=8)
        except SslbenchError as error:
            assert "\n" not in str(error)
        else:
            assert set(_rows(found.train_images)) <= set(
                _rows(torch.cat([expected.train_images, expected.test_images]))
            )


def _rows(images: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


@pytest.mark.parametrize("name", ["photos.tar.gz", "photos.npz", "photos.rar"])
def test_other_archives_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("npz"):
        np.savez(path, train_images=np.zeros((4, 8, 8), np.uint8))
    else:
        path.write_bytes(b"\x1f\x8b\x08" + bytes(500))
    with pytest.raises(SslbenchError, match=r"is not a readable (zip|tar)|no class .*\.npy files") as caught:
        load(f"folder:{path}", image_size=8)
    assert "\n" not in str(caught.value)


def test_file_that_changes_while_it_is_read_is_an_error(digit_folder: Folder) -> None:
    folder = digit_folder()
    with listing(folder) as files:
        (folder / "class-0/0.png").write_bytes((folder / "class-0/1.png").read_bytes())
        with pytest.raises(SslbenchError, match=r"class-0/0\.png changed while"):
            files.read("class-0/0.png")


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
