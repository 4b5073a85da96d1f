"""A results folder that several machines share: whether another machine sees it, and whether its locks hold there."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import SslbenchError, StorageError

_ENTERS = """
import sys
from filelock import FileLock, Timeout
try:
    FileLock(sys.argv[1]).acquire(timeout=0)
except Timeout:
    sys.exit(3)
"""
"""Another process: exits with code 3 if a lock is held."""
_HELD = 3
LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay", "apfs")
"""File systems of one machine."""


@dataclass(frozen=True)
class Beacon:
    """A locked file in the results folder, by which other machines recognise the folder.

    Attributes:
        results: Absolute path of the results folder.
        file: Absolute path of the file.
    """

    results: str
    file: str

    def check(self, node: str) -> str | None:
        """Check on another machine that it sees the results folder; return a line for the user if its locks do not hold there.

        Args:
            node: What to call this machine.

        Raises:
            SslbenchError: It does not see the folder.
        """
        if not Path(self.file).is_file():
            raise SslbenchError(
                f"{node} does not see the results folder {self.results}; choose one with --results that all nodes see"
            )
        if is_locked(Path(self.file)):
            return None
        kind, _ = file_system(Path(self.results))
        return (
            f"{node}: locks of the results folder {self.results} do not hold between machines (file system {kind}); do not give the "
            "same runs to two commands at the same time"
        )


@contextmanager
def beacon(results: Path) -> Iterator[Beacon]:
    """Create and lock a new beacon within a ``with`` block.

    Raises:
        StorageError: The folder is not writable.
    """
    folder = results.absolute() / ".locks" / "commands"
    file = folder / f"{uuid.uuid4().hex}.lock"
    lock = FileLock(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_unlocked(folder)
        lock.acquire()
    except OSError as error:
        raise StorageError(f"cannot lock {file}: {error.strerror or error}; choose --results") from error
    try:
        yield Beacon(str(results.absolute()), str(file))
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def is_locked(file: Path) -> bool:
    """Return whether another process holds the lock of a file; False also where nothing can be locked."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def locks_hold_here(results: Path) -> bool:
    """Return whether a lock of this process keeps out another process of this machine.

    Raises:
        StorageError: The folder is not writable.
    """
    with beacon(results) as found:
        done = subprocess.run([sys.executable, "-c", _ENTERS, found.file], capture_output=True, timeout=60)
    return done.returncode == _HELD


def file_system(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the type and the mount options of the file system of a path; ``unknown`` where the system does not list them."""
    found: tuple[str, tuple[str, ...]] = ("unknown", ())
    with contextlib.suppress(OSError):
        longest, real = -1, Path(os.path.realpath(path))
        for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
            _, where, kind, options, *_ = line.split(" ")
            mount = Path(where.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
            if real.is_relative_to(mount) and len(mount.parts) >= longest:
                longest, found = len(mount.parts), (kind, tuple(options.split(",")))
    return found


def between_machines(kind: str, options: tuple[str, ...]) -> tuple[bool, str]:
    """Return whether locks hold between machines as far as is known of a file system, and this in words for the user.

    Args:
        kind: Type of the file system.
        options: Its mount options.
    """
    if kind in LOCAL:
        return True, f"{kind} is a file system of this machine only"
    if kind in ("nfs", "nfs4"):
        local = [option for option in options if option in ("nolock", "local_lock=all", "local_lock=flock")]
        if local:
            return False, f"on {kind} mounted with {local[0]} not between machines; mount it without"
        return True, f"on {kind} also between machines"
    if kind == "lustre":
        if "flock" in options:
            return True, "lustre mounted with flock: they hold between machines"
        return False, "lustre mounted without flock: they do not hold between machines; mount it with -o flock"
    if kind == "ceph":
        return True, "ceph: they hold between machines"
    if kind.startswith("beegfs"):
        return False, "beegfs: they hold between machines only with tuneUseGlobalFileLocks = true"
    return (
        False,
        f"{kind}: whether they hold between machines is not known; a command with --engine ray tests it on each node",
    )


def _remove_unlocked(folder: Path) -> None:
    """Delete the beacons of commands that were killed."""
    for file in folder.glob("*.lock"):
        if not is_locked(file):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
