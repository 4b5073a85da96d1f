import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import SslbenchError
from bench.records.record import Record
from bench.records.record_json import to_json
from bench.records.store import Store


def seeded(record: Record, seed: int) -> Record:
    return replace(record, identity=replace(record.identity, seed=seed))


def test_the_path_of_a_record_follows_from_its_identity_and_it_reads_back(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    plain = replace(record, identity=replace(record.identity, settings={}, plugin=None))
    assert store.write(plain) is None
    assert (tmp_path / "records/digits/resnet9_slim/standard/simclr/seed-3.json").is_file()
    assert repr(store.read(plain.identity)) == repr(plain)
    assert store.read(seeded(plain, 4).identity) is None


def test_records_of_the_development_task_are_stored_separately(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    val = replace(record, identity=replace(record.identity, task="val"))
    store.write(val)
    assert store.read_all("test") == ([], [])
    assert [r.identity for r in store.read_all("val")[0]] == [val.identity]
    for path in (store.encoder_path, store.checkpoint_path, store.record_path):
        assert path(val.identity) != path(record.identity)


def test_unsafe_names_stay_inside_the_folder(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    odd = replace(
        record, identity=replace(record.identity, method="timm:../../x", dataset="folder:/etc", backbone="..")
    )
    store.write(odd)
    path = store.record_path(odd.identity)
    assert path.is_file() and path.resolve().is_relative_to(tmp_path.resolve() / "records")
    assert len(path.relative_to(tmp_path).parts) == 6
    assert store.read(odd.identity) is not None


def test_unreadable_and_other_files_are_reported_skipped_and_kept(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    store.write(record)
    folder = store.record_path(record.identity).parent
    texts = {
        "cut.json": to_json(record)[:500],
        "package.json": "{}",
        "newer.json": json.dumps(json.loads(to_json(record)) | {"schema_version": 9}),
        "bits.json": to_json(record).replace('"4A=="', '"4A="'),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    records, problems = store.read_all()
    assert [r.identity for r in records] == [record.identity]
    assert {p.path.name for p in problems} == {*texts, "binary.json"}
    assert "newer" in next(str(p) for p in problems if p.path.name == "newer.json")
    assert all((folder / name).read_text() == text for name, text in texts.items())


def test_another_file_at_the_path_of_a_record_is_renamed_and_reported(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    path = store.record_path(record.identity)
    path.parent.mkdir(parents=True)
    path.write_text("not mine")
    message = store.write(record)
    assert message is not None and "\n" not in message
    assert str(path) in message and message.endswith(f"{path.name}.kept-1")
    assert store.read(record.identity) is not None
    assert [p.read_text() for p in path.parent.glob("*.kept-*")] == ["not mine"]
    assert store.read_all()[1] == []


def test_a_full_disk_gives_a_one_line_error_and_keeps_the_old_record(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    store.write(record)
    path = store.record_path(record.identity)
    before = path.read_text()
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom bench.records.record_json import from_json\nfrom bench.records.store import Store\n"
        "from bench.errors import SslbenchError\n"
        "record = from_json(Path(sys.argv[2]).read_text())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "try:\n    Store(Path(sys.argv[1])).write(record)\nexcept SslbenchError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, path], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.count("\n") == 1 and "cannot write" in done.stdout and str(path) in done.stdout
    assert path.read_text() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_not_writable_gives_a_one_line_error(tmp_path: Path, record: Record) -> None:
    blocked = tmp_path / "results"
    blocked.write_text("a file, no folder")
    for action in (
        lambda: Store(blocked).check_writable(),
        lambda: Store(blocked).write(record),
        lambda: Store(blocked).claim(record.identity).__enter__(),
    ):
        with pytest.raises(SslbenchError) as caught:
            action()
        assert "\n" not in str(caught.value) and str(blocked) in str(caught.value)


def test_a_run_is_locked_once_and_free_afterwards(tmp_path: Path, record: Record) -> None:
    store = Store(tmp_path)
    with store.claim(record.identity, wait=False) as first, store.claim(record.identity, wait=False) as second:
        assert first and not second
        with store.claim(seeded(record, 9).identity, wait=False) as other:
            assert other
    with store.claim(record.identity, wait=False) as again:
        assert again


WORKER = """
import sys
from dataclasses import replace
from pathlib import Path
from bench.records.record_json import from_json
from bench.records.store import Store
store, record = Store(Path(sys.argv[1])), from_json(Path(sys.argv[2]).read_text())
"""
HOLD = """
with store.claim(record.identity):
    print("held", flush=True)
    sys.stdin.read()
"""
SHARE = """
for seed in range(12):
    one = replace(record, identity=replace(record.identity, seed=seed))
    with store.claim(one.identity):
        if store.read(one.identity) is None:
            with open(sys.argv[3], "a") as log:
                log.write(f"{seed}\\n")
            store.write(one)
"""
WRITE = """
long = replace(record, curve={"loss": [0.1] * 100_000, "step": [1] * 100_000})
while True:
    print("writing", flush=True)
    store.write(long)
"""


@pytest.fixture
def start(tmp_path: Path, record: Record) -> Callable[..., "subprocess.Popen[str]"]:
    (tmp_path / "record").write_text(to_json(record))

    def run(work: str, *arguments: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", WORKER + work, tmp_path / "results", tmp_path / "record", *arguments]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())

    return run


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_lock_of_a_killed_process_is_free(
    tmp_path: Path, record: Record, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    store = Store(tmp_path / "results")
    with start(HOLD) as process:
        assert first_line(process) == "held"
        with store.claim(record.identity, wait=False) as mine:
            assert not mine
        process.kill()
        process.wait()
    with store.claim(record.identity, wait=False) as mine:
        assert mine


def test_two_processes_share_a_folder_and_do_not_repeat_a_run(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    log = tmp_path / "log"
    workers = [start(SHARE, log) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert sorted(map(int, log.read_text().split())) == list(range(12))
    records, problems = Store(tmp_path / "results").read_all()
    assert len(records) == 12 and problems == []


def test_a_writer_killed_at_random_moments_leaves_a_complete_record(
    tmp_path: Path, record: Record, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    store = Store(tmp_path / "results")
    store.write(record)
    moments = random.Random(0)
    for _ in range(4):
        with start(WRITE) as process:
            for _ in range(moments.randint(1, 6)):
                assert first_line(process) == "writing"
            process.send_signal(signal.SIGKILL)
            process.wait()
        records, problems = store.read_all()
        assert len(records) == 1 and problems == []
