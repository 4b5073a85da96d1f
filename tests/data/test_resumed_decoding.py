"""A decoding that was killed goes on where it was, and what is damaged is decoded again."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.data import decode_all, load
from bench.data.dataset import Dataset
from bench.data.journal import Journal
from bench.errors import SslbenchError

IMAGES = 24
KILLED = """
import os, signal, sys
from bench.data import decode_all, load
from bench.data.journal import Journal

decode_all._BLOCK_IMAGES = 3
add, blocks = Journal.add, []

def counting(journal, *block):
    if len(blocks) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    blocks.append(add(journal, *block))

Journal.add = counting
load("folder:" + sys.argv[1], image_size=8)
"""


@pytest.fixture
def root(digit_folder: Callable[..., Path]) -> Path:
    return digit_folder(images=IMAGES // 2)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that this process decodes."""
    names: list[str] = []
    decode_one = decode_all._decode_one

    def counting(files, name, size, depth):  # type: ignore[no-untyped-def]
        names.append(name)
        return decode_one(files, name, size, depth)

    monkeypatch.setattr(decode_all, "_decode_one", counting)
    monkeypatch.setattr(decode_all, "_BLOCK_IMAGES", 3)
    return names


def kill_while_decoding(root: Path) -> None:
    """Decode in another process, which is killed after four blocks of three images."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(root)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def same(first: Dataset, second: Dataset) -> bool:
    return first.fingerprint == second.fingerprint and torch.equal(first.train_images[:], second.train_images[:])


@pytest.fixture
def whole(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The same images, decoded at once into another cache."""
    with monkeypatch.context() as patched:
        patched.setenv("SSLBENCH_CACHE", str(tmp_path / "another"))
        return load(f"folder:{root}", image_size=8)


def test_a_killed_decoding_goes_on_where_it_was(
    root: Path, whole: Dataset, cache: Path, decoded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    kill_while_decoding(root)
    assert not list(cache.rglob("*.npy"))
    resumed = load(f"folder:{root}", image_size=8)
    assert same(resumed, whole) and resumed.notes == whole.notes
    assert len(decoded) == IMAGES - 12
    assert f"decoding {IMAGES} images, only this once; 12 are already decoded" in capsys.readouterr().err
    assert not [path for path in cache.rglob("*") if path.suffix in (".partial", ".journal", ".tmp")]
    decoded.clear()
    assert same(load(f"folder:{root}", image_size=8), whole) and not decoded


@pytest.mark.parametrize("damage", ["pixels", "a line", "the last line", "all pixels", "no journal"])
def test_what_is_damaged_is_decoded_again(
    damage: str, root: Path, whole: Dataset, cache: Path, decoded: list[str]
) -> None:
    kill_while_decoding(root)
    (pixels,), (journal,) = cache.rglob("*.partial"), cache.rglob("*.journal")
    if damage == "pixels":
        data = bytearray(pixels.read_bytes())
        data[128 + 7 * 3 * 64] ^= 1  # the third block
        pixels.write_bytes(data)
    elif damage == "a line":
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([lines[0], b"[1, x\n", *lines[2:]]))
    elif damage == "the last line":
        journal.write_bytes(journal.read_bytes()[:-5])
    elif damage == "all pixels":
        pixels.write_bytes(b"")
    else:
        journal.unlink()
    kept = {"pixels": 6, "a line": 3, "the last line": 9}.get(damage, 0)
    assert same(load(f"folder:{root}", image_size=8), whole)
    assert len(decoded) == IMAGES - kept


def test_a_full_disk_is_an_error_of_one_line_and_keeps_what_is_decoded(
    root: Path, whole: Dataset, cache: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Journal.add

    def full(journal, pixels, facts):  # type: ignore[no-untyped-def]
        if len(list(journal.path.open())) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(journal, pixels, facts)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", full)
        with pytest.raises(
            SslbenchError, match=r"cannot write .*: No space left on device; free space, or set"
        ) as caught:
            load(f"folder:{root}", image_size=8)
    assert "\n" not in str(caught.value) and not list(cache.rglob("*.npy"))
    decoded.clear()
    assert same(load(f"folder:{root}", image_size=8), whole)
    assert len(decoded) == IMAGES - 6


def test_nothing_is_kept_of_images_that_must_be_changed(root: Path, cache: Path) -> None:
    (root / "class-1" / "9.png").write_bytes(b"no image")
    with pytest.raises(SslbenchError, match="is a corrupt image"):
        load(f"folder:{root}", image_size=8)
    assert {path.suffix for path in cache.rglob("*") if path.is_file()} == {".lock"}


def test_of_two_processes_at_once_the_second_goes_on_if_the_first_is_killed(
    root: Path, whole: Dataset, cache: Path
) -> None:
    first = subprocess.Popen(
        [
            sys.executable,
            "-c",
            KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "print(flush=True), sys.stdin.read()"),
            root,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert first.stdout is not None and first.stdout.readline() == b"\n"
    code = "import sys; from bench.data import load; print(load('folder:' + sys.argv[1], image_size=8).fingerprint)"
    second = subprocess.Popen(
        [sys.executable, "-c", code, root], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(5)  # it waits for the first
    first.kill()
    first.communicate()
    fingerprint, errors = second.communicate()
    assert fingerprint.strip() == whole.fingerprint
    assert "12 are already decoded" in errors
