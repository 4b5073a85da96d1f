"""A results folder that several machines share: they recognise it, and its locks are tested."""

from pathlib import Path

import pytest

from bench.errors import SslbenchError
from bench.records.shared_folder import beacon, between_machines, file_system, is_locked, locks_hold_here


def test_locks_hold_between_two_processes(tmp_path):
    assert locks_hold_here(tmp_path)


def test_a_file_that_nobody_locks_is_not_locked(tmp_path):
    file = tmp_path / "a.lock"
    file.touch()
    assert not is_locked(file)


def test_a_node_that_sees_another_folder_is_told_so_and_one_without_locks_is_a_warning(tmp_path):
    with beacon(tmp_path / "results") as found:
        assert found.check("node a") is None
    with pytest.raises(SslbenchError, match="node a does not see the results folder"):
        found.check("node a")
    Path(found.file).touch()
    assert "do not hold between machines" in (found.check("node a") or "")


def test_the_file_of_a_killed_command_is_removed_by_the_next_one(tmp_path):
    left = tmp_path / ".locks" / "commands" / "left.lock"
    left.parent.mkdir(parents=True)
    left.touch()
    with beacon(tmp_path) as first, beacon(tmp_path) as second:
        assert Path(first.file).is_file()
        assert Path(second.file).is_file()
        assert not left.exists()
    assert list(left.parent.iterdir()) == []


def test_the_file_system_is_that_of_the_longest_mount(monkeypatch, tmp_path):
    real = Path.read_text
    mounts = f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw,local_lock=none 0 0\nserver:/y {tmp_path}-b lustre rw 0 0\n"
    monkeypatch.setattr(
        Path, "read_text", lambda self, **more: mounts if str(self) == "/proc/self/mounts" else real(self, **more)
    )
    assert file_system(tmp_path / "results") == ("nfs4", ("rw", "local_lock=none"))
    assert file_system(Path("/")) == ("ext4", ("rw",))


@pytest.mark.parametrize(
    ("kind", "options", "holds"),
    [
        ("nfs4", ("rw", "local_lock=none"), True),
        ("nfs", ("rw", "nolock", "local_lock=all"), False),
        ("lustre", ("rw", "flock"), True),
        ("lustre", ("rw", "localflock"), False),
        ("beegfs", ("rw",), False),
        ("fuse.sshfs", ("rw",), False),
        ("ext4", ("rw",), True),
    ],
)
def test_what_is_known_of_a_file_system(kind, options, holds):
    assert between_machines(kind, options)[0] is holds
