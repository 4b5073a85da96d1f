"""The size limit of the image cache: what is deleted, in which order, and what is never deleted."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from filelock import FileLock

from bench.cli.doctor import examine
from bench.data.cache import cached, write_blocks
from bench.data.cache_limit import entries
from bench.data.raw import Pixels
from bench.errors import SslbenchError

SHAPE = (100, 1, 32, 32)
SIZE = 102_400
HOLD = """
import sys
from bench.data.cache import cached
images, _ = cached(sys.argv[1], 0, None)
print("mapped", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def room_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLBENCH_CACHE_GB", "0.00025")


def images_of(name: str) -> Pixels:
    """Ask for a set of images, which is built if it is not there."""

    def build(target: IO[bytes]) -> list[str]:
        write_blocks(target, SHAPE, [np.full(SHAPE, ord(name), np.uint8)])
        return []

    return cached(name, SIZE, build)[0]


def there(cache: Path) -> str:
    """Return the names of the complete sets in the cache, sorted."""
    names = []
    for path in (cache / "images").glob("*.npy"):
        pixels = path.read_bytes()[-SIZE:]
        assert pixels == pixels[:1] * SIZE
        names.append(chr(pixels[0]))
    return "".join(sorted(names))


def used_at(cache: Path, seconds: list[float]) -> None:
    """Set the times of the last use of all sets, in the order of their last use."""
    for entry, when in zip(entries(cache / "images"), seconds, strict=True):
        for path in (cache / "images").glob(f"{entry.key}.*"):
            os.utime(path, (when, when))


def test_the_least_recently_used_images_are_deleted_first(cache: Path) -> None:
    images_of("a")
    used_at(cache, [100])
    images_of("b")
    used_at(cache, [100, 200])
    images_of("a")  # the last use is now that of b
    images_of("c")
    assert there(cache) == "ac"
    assert not [path for path in (cache / "images").iterdir() if path.suffix in (".partial", ".journal", ".tmp")]


def test_images_in_use_by_this_process_are_not_deleted(cache: Path) -> None:
    mapped = images_of("a")
    images_of("b")
    also_mapped = images_of("c")
    assert there(cache) == "ac"
    with pytest.raises(SslbenchError, match=r"processes that are running use 0\.2 MB of the 0\.00025 GB") as caught:
        images_of("d")
    assert "\n" not in str(caught.value) and "SSLBENCH_CACHE_GB" in str(caught.value)
    assert (mapped == ord("a")).all() and (also_mapped == ord("c")).all()
    del mapped, also_mapped
    images_of("d")
    assert "d" in there(cache)


@pytest.fixture
def holder() -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def hold(name: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLD, name]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "mapped\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_images_in_use_by_another_process_are_not_deleted_until_it_ends(
    cache: Path, holder: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    images_of("a")
    process = holder("a")
    images_of("b")
    used_at(cache, [100, 200])
    images_of("c")
    assert there(cache) == "ac"
    process.kill()
    process.wait()
    images_of("d")
    assert there(cache) == "cd"


def test_images_that_another_process_is_decoding_are_counted_and_not_deleted(cache: Path) -> None:
    images_of("a")
    folder = cache / "images"
    decoding = FileLock(folder / "f00d.lock")
    (folder / "f00d.partial").write_bytes(b"")
    os.truncate(folder / "f00d.partial", SIZE)
    (folder / "f00d.journal").write_text("")
    with decoding:
        used_at(cache, [200, 100])
        images_of("b")
        assert (folder / "f00d.partial").exists() and there(cache) == "b"
    used_at(cache, [100, 200])
    images_of("c")
    assert not (folder / "f00d.partial").exists(), "nobody goes on with it, and it was used least recently"
    assert not (folder / "f00d.journal").exists()


def test_images_larger_than_the_limit_are_refused_and_nothing_is_deleted(cache: Path) -> None:
    images_of("a")
    with pytest.raises(SslbenchError, match=r"more than the limit of the image cache, 0\.00025 GB: set SSLBENCH"):
        cached("large", 10**6, lambda target: [])
    assert there(cache) == "a"


@pytest.mark.parametrize("value", ["many", "0", "-5", "nan", "10 GB"])
def test_a_limit_that_is_no_positive_number_is_an_error_of_one_line(
    value: str, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    images_of("a")
    monkeypatch.setenv("SSLBENCH_CACHE_GB", value)
    expected = f"SSLBENCH_CACHE_GB is {value!r}: write a number of GB above 0, such as 50"
    with pytest.raises(SslbenchError) as caught:
        images_of("a")
    assert str(caught.value) == expected
    (finding,) = [finding for finding in examine(tmp_path, None) if finding.subject == "image cache"]
    assert (finding.state, finding.text) == ("wrong", expected)


def test_doctor_shows_place_size_and_limit(cache: Path, tmp_path: Path) -> None:
    def found() -> str:
        (finding,) = [finding for finding in examine(tmp_path, None) if finding.subject == "image cache"]
        assert finding.state == "ok"
        return finding.text

    assert found() == f"{cache / 'images'}: empty; limit 0.00025 GB (SSLBENCH_CACHE_GB)"
    assert not (cache / "images").exists(), "doctor writes nothing into the cache"
    images_of("a")
    images_of("b")
    (cache / "images" / "f00d.partial").write_bytes(bytes(1000))
    assert (
        found()
        == f"{cache / 'images'}: 2 sets of images, 0.2 MB, and 1 not decoded to its end; limit 0.00025 GB (SSLBENCH_CACHE_GB)"
    )


def test_a_set_that_does_not_fit_on_the_disk_is_an_error_of_one_line(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("bench.data.cache.shutil.disk_usage", lambda _: usage)
    with pytest.raises(SslbenchError, match=r"cannot write .* take 0.1 MB, and 0.0 MB are free; free space") as caught:
        images_of("a")
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("*.partial"))
