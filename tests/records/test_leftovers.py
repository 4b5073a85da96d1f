"""What stays behind: temporary files of killed writers, logs that are links, and the files of a run that is dropped."""

import os
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import atomic
from bench.atomic import abandoned, write_text
from bench.errors import StorageError
from bench.records.record import Record
from bench.records.run_log import RunLog
from bench.records.store import Store

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys, time
from pathlib import Path
from bench.atomic import write_whole

def write(temporary):
    temporary.write_bytes(b"0" * 1000)
    print("writing", flush=True)
    sys.stdin.read()

write_whole(Path(sys.argv[1]), write)
"""


def writer(path: Path) -> "subprocess.Popen[str]":
    """A process that is writing a file until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


def test_the_temporary_file_of_a_killed_writer_is_removed_and_that_of_a_running_one_is_not(
    tmp_path: Path, record: Record
) -> None:
    store = Store(tmp_path)
    val = replace(record.identity, task="val")
    killed, running = writer(store.checkpoint_path(val)), writer(store.checkpoint_path(record.identity))
    killed.kill()
    killed.wait()
    (removed,) = store.remove_abandoned()
    assert removed.parent == store.checkpoint_path(val).parent
    (left,) = tmp_path.rglob("*.tmp")
    old = time.time() - 7200
    os.utime(left, (old, old))
    assert store.remove_abandoned() == [], "a slow writer keeps its file, whatever its age"
    running.communicate("")
    assert store.checkpoint_path(record.identity).read_bytes() == b"0" * 1000
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_file_of_another_machine_or_of_an_older_version_is_removed_after_an_hour(tmp_path: Path) -> None:
    host = atomic._host()
    names = (".a.pt.elsewhere-1.abc.tmp", ".a.pt.x1y2z3.tmp", f".a.pt.{host}-{os.getpid()}.abc.tmp")
    for name in names:
        (tmp_path / name).touch()
    assert list(abandoned(tmp_path)) == []
    old = time.time() - 7200
    for name in names:
        os.utime(tmp_path / name, (old, old))
    assert {path.name for path in abandoned(tmp_path)} == set(names)
    (tmp_path / ".link.tmp").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / ".pipe.tmp")
    assert {path.name for path in abandoned(tmp_path)} == set(names)


def test_a_process_number_that_was_given_again_is_recognised_by_the_lock(tmp_path: Path) -> None:
    path = tmp_path / f".a.pt.{atomic._host()}-{os.getpid()}.abc.tmp"
    path.touch()
    assert list(abandoned(tmp_path)) == [], "it may not have been locked yet"
    minutes_ago = time.time() - 120
    os.utime(path, (minutes_ago, minutes_ago))
    assert list(abandoned(tmp_path)) == [path]


def test_writing_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "ä")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "ä"


@pytest.mark.parametrize("kind", ["link to a file", "dangling link", "pipe", "device", "folder"])
def test_a_log_never_follows_a_link_nor_opens_a_device(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "logs" / "seed-0.log", tmp_path / "precious.txt"
    path.parent.mkdir()
    if kind == "link to a file":
        other.write_text("precious")
        path.symlink_to(other)
    elif kind == "dangling link":
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        path.mkdir()
    messages: list[str] = []
    log = RunLog(path, messages.append)
    log("one")
    log("two")
    (message,) = messages
    assert message.startswith(f"log {path} cannot be written: ") and "\n" not in message
    assert not other.exists() or other.read_text() == "precious"


def test_all_files_of_a_run_are_found_and_removed_and_no_others(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    identities = [replace(record.identity, seed=seed) for seed in (1, 10)]
    kinds = (store.encoder_path, store.checkpoint_path, store.last_path, store.snapshots_path, store.log_path)
    for identity in identities:
        store.write(replace(record, identity=identity))
        for kind in kinds:
            kind(identity).parent.mkdir(parents=True, exist_ok=True)
            kind(identity).write_text("x")
    store.encoder_path(identities[0]).with_name("seed-1.safetensors.damaged-1").touch()
    kept, dropped = store.files(identities[1]), store.files(identities[0])
    assert len(kept) == 6 and len(dropped) == 7

    trained = store.remove_trained(identities[0])
    assert len(trained) == 5
    assert store.files(identities[0]) == sorted([store.record_path(identities[0]), store.log_path(identities[0])])
    assert store.remove(identities[0])[-1] == store.record_path(identities[0])
    assert store.files(identities[0]) == []
    assert store.files(identities[1]) == kept
    assert store.remove(identities[0]) == []


def test_a_pipe_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="it is a device or a pipe"):
        write_text(tmp_path / "pipe", "content")
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
