import errno
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from bench.data import load
from bench.data.cache import cached, write_blocks
from bench.errors import SslbenchError

IMAGES = np.arange(4 * 3 * 8 * 8, dtype=np.uint8).reshape(4, 3, 8, 8)


def _build(target: IO[bytes]) -> list[str]:
    write_blocks(target, IMAGES.shape, [IMAGES[:3], IMAGES[3:]])
    return ["a note"]


def _must_not_run(target: IO[bytes]) -> list[str]:
    raise AssertionError("decoded a second time")


def test_images_are_decoded_once_and_mapped(cache: Path) -> None:
    assert (cached("here", IMAGES.nbytes, _build)[0] == IMAGES).all()
    again, notes = cached("here", IMAGES.nbytes, _must_not_run)
    assert (again == IMAGES).all() and isinstance(again, np.memmap) and notes == ["a note"]


def test_writing_into_the_array_does_not_change_the_cache(cache: Path) -> None:
    cached("here", IMAGES.nbytes, _build)[0][:] = 0
    assert (cached("here", IMAGES.nbytes, _must_not_run)[0] == IMAGES).all()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"x" * len(data), lambda data: data + b"x"]
)
def test_corrupt_cache_is_built_again(cache: Path, damage: Callable[[bytes], bytes]) -> None:
    cached("here", IMAGES.nbytes, _build)
    (path,) = cache.rglob("*.npy")
    path.write_bytes(damage(path.read_bytes()))
    assert (cached("here", IMAGES.nbytes, _build)[0] == IMAGES).all()
    assert (cached("here", IMAGES.nbytes, _must_not_run)[0] == IMAGES).all()


def test_interrupted_build_leaves_no_file(cache: Path) -> None:
    def interrupted(target: IO[bytes]) -> list[str]:
        target.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("here", IMAGES.nbytes, interrupted)
    assert {path.suffix for path in cache.rglob("*") if path.is_file()} == {".lock"}
    assert (cached("here", IMAGES.nbytes, _build)[0] == IMAGES).all()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL exists only on POSIX")
def test_cache_is_built_again_after_a_process_was_killed_while_decoding(cache: Path) -> None:
    code = (
        "import os, signal; from bench.data.cache import cached\n"
        "cached('here', 768, lambda target: (target.write(b'half'), target.flush(), os.kill(os.getpid(), signal.SIGKILL)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert len(list(cache.rglob("*.partial"))) == 1
    assert (cached("here", IMAGES.nbytes, _build)[0] == IMAGES).all()
    assert not list(cache.rglob("*.partial"))


def test_full_disk_and_folder_that_cannot_be_created_are_errors_of_one_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: IO[bytes]) -> list[str]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SslbenchError, match=r"No space left on device.*SSLBENCH_CACHE") as caught:
        cached("here", IMAGES.nbytes, full)
    assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(SslbenchError, match="cannot write the image cache"):
        cached("here", IMAGES.nbytes, _build)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits exist only on POSIX")
def test_file_size_limit_is_an_error_of_one_line_and_leaves_no_file(
    digit_folder: Callable[..., Path], cache: Path
) -> None:
    code = (
        "import resource, signal, sys; from bench.data import load; from bench.errors import SslbenchError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: load('folder:' + sys.argv[1], image_size=8)\n"
        "except SslbenchError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(digit_folder())], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"cannot write {cache}") and run.stdout.count("\n") == 1
    assert "SSLBENCH_CACHE" in run.stdout
    assert not list(cache.rglob("*.tmp")) and not list(cache.rglob("*.npy"))


def test_changed_image_is_decoded_again(digit_folder: Callable[..., Path]) -> None:
    root = digit_folder()
    before = load(f"folder:{root}", image_size=8)
    (root / "class-0/0.png").write_bytes((root / "class-0/1.png").read_bytes())
    after = load(f"folder:{root}", image_size=8)
    assert before.fingerprint != after.fingerprint


def test_image_of_the_same_size_and_time_is_decoded_again(digit_folder: Callable[..., Path]) -> None:
    root = digit_folder()
    image = root / "class-0/0.png"
    other = np.full((8, 8), 77, np.uint8)
    before = load(f"folder:{root}", image_size=8)
    state = image.stat()
    Image.fromarray(other).save(image)
    image.write_bytes(image.read_bytes().ljust(state.st_size, b"\0"))
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (image.stat().st_size, image.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    after = load(f"folder:{root}", image_size=8)
    assert before.fingerprint != after.fingerprint and (after.train_images == 77).flatten(1).all(1).any()


def test_zip_of_the_same_size_time_and_checksums_is_decoded_again(digit_folder: Callable[..., Path]) -> None:
    path = digit_folder().parent / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(digit_folder(name="other").rglob("*.png")):
            archive.write(image, image.relative_to(image.parents[1]))
    load(f"folder:{path}", image_size=8)
    state, data = path.stat(), bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(SslbenchError, match="is corrupt"):
        load(f"folder:{path}", image_size=8)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no file modes")
def test_cache_is_private_to_its_user(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "images").mkdir(parents=True)
    (cache / "images").chmod(0o777)
    cached("here", IMAGES.nbytes, _build)
    assert (cache / "images").stat().st_mode & 0o777 == 0o700
    shutil.rmtree(cache)
    cached("here", IMAGES.nbytes, _build)
    assert (cache / "images").stat().st_mode & 0o777 == 0o700
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(SslbenchError, match="belongs to another user: set SSLBENCH_CACHE"):
        cached("here", IMAGES.nbytes, _build)


@pytest.mark.slow
def test_two_processes_fill_the_cache_once_and_read_the_same(shared_data: Path, cache: Path) -> None:
    code = "import sys; from bench.data import load; print(load('folder:' + sys.argv[1], image_size=32).fingerprint)"
    command = [sys.executable, "-c", code, str(shared_data / "imagenette-96.zip")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0][0] == outputs[1][0]
    assert sum("decoding 3700 images" in errors for _, errors in outputs) == 1
