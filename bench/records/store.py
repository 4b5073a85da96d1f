"""The results folder: one file per record, written atomically; several processes may share the folder."""

import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.atomic import abandoned, leftovers, write_text
from bench.errors import StorageError
from bench.filenames import file_name, method_folder
from bench.records.record import Identity, Record, TaskName
from bench.records.record_json import UnreadableRecord, from_json, to_json
from bench.records.stored_files import open_regular, set_aside

LARGEST_RECORD = 32 * 2**20
"""Largest size of a record's file in bytes, two hundred times that of a long one; a larger file is not read."""
KINDS = ("records", "encoders", "checkpoints", "snapshots", "answers", "logs")
"""Folders of a results folder; for the development task each has the ending ``-val``."""


@dataclass(frozen=True)
class Problem:
    """A JSON file in the records folder that is not a valid record of its place, and why it was skipped."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: skipped, {self.reason}"


class Store:
    """A results folder: records, encoders, checkpoints, logs, snapshots and answers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def records_dir(self, task: TaskName = "test") -> Path:
        """Return the folder of the records of a task."""
        return self._kind("records", task)

    def record_path(self, identity: Identity) -> Path:
        """Return the path of a run's record; it does not depend on versions."""
        return self._path("records", identity, ".json")

    def encoder_path(self, identity: Identity) -> Path:
        """Return the path of a run's trained encoder."""
        return self._path("encoders", identity, ".safetensors")

    def checkpoint_path(self, identity: Identity) -> Path:
        """Return the path of an unfinished run's checkpoint."""
        return self._path("checkpoints", identity, ".pt")

    def last_path(self, identity: Identity) -> Path:
        """Return the path of a finished run's last checkpoint, from which ``--extend`` continues."""
        return self._path("checkpoints", identity, ".last.pt")

    def log_path(self, identity: Identity) -> Path:
        """Return the path of a run's log."""
        return self._path("logs", identity, ".log")

    def snapshots_path(self, identity: Identity) -> Path:
        """Return the path of a run's snapshots."""
        return self._path("snapshots", identity, ".npz")

    def answers_path(self, identity: Identity) -> Path:
        """Return the path of a run's answers to the test images after every epoch, which only studies ask for."""
        return self._path("answers", identity, ".npz")

    def _kind(self, kind: str, task: TaskName) -> Path:
        return self.root / (kind if task == "test" else f"{kind}-{task}")

    def _path(self, kind: str, identity: Identity, suffix: str) -> Path:
        folder = self._kind(kind, identity.task) / file_name(identity.dataset) / file_name(identity.backbone)
        folder = (
            folder / file_name(identity.budget) / method_folder(identity.method, identity.settings, identity.plugin)
        )
        return folder / f"seed-{identity.seed}{suffix}"

    def read(self, identity: Identity) -> Record | None:
        """Return the record stored for a run, which may be of other versions; None if there is no readable one."""
        found = self.read_file(self.record_path(identity))
        return found if isinstance(found, Record) else None

    def read_all(self, task: TaskName = "test") -> tuple[list[Record], list[Problem]]:
        """Return all records of a task in the order of their paths, and the files that are not records of their place."""
        records, problems = [], []
        for path in self.paths(task):
            found = self.read_file(path)
            if isinstance(found, Problem):
                problems.append(found)
            elif found is not None:
                records.append(found)
        return records, problems

    def read_file(self, path: Path) -> Record | Problem | None:
        """Return the record in a file of this folder; a copy of a record at another place is a ``Problem``, as in ``read_record``."""
        found = read_record(path)
        if isinstance(found, Record) and (own := self.record_path(found.identity)) != path:
            return Problem(path, f"it is the record of another run, which belongs at {own.relative_to(self.root)}")
        return found

    def paths(self, task: TaskName = "test") -> list[Path]:
        """Return the sorted paths of all JSON files in the records folder of a task."""
        return sorted(path for path in self.records_dir(task).rglob("*.json") if not path.name.startswith("."))

    def write(self, record: Record) -> str | None:
        """Write a record.

        An existing file that is not a valid record, or was written by a newer sslbench, is renamed and kept.

        Returns:
            One line for the user if a file was renamed, otherwise None.

        Raises:
            UnreadableRecord: The record could not be read back.
            StorageError: The disk is full or the folder is not writable; an existing record stays unchanged.
        """
        path = self.record_path(record.identity)
        text = _readable(record)
        found = self.read_file(path)
        message = (
            f"{path} could not be read ({found.reason}): renamed to {set_aside(path, 'kept')}"
            if isinstance(found, Problem)
            else None
        )
        write_text(path, text)
        return message

    def files(self, identity: Identity) -> list[Path]:
        """Return the existing files of a run, sorted: record, encoder, checkpoints, snapshots, answers and log, also damaged and unfinished ones."""
        places = (
            self.record_path(identity),
            self.encoder_path(identity),
            self.checkpoint_path(identity),
            self.last_path(identity),
            self.snapshots_path(identity),
            self.answers_path(identity),
            self.log_path(identity),
        )
        found = set()
        for path in places:
            found |= {path} if path.is_file() or path.is_symlink() else set()
            found |= {*leftovers(path), *path.parent.glob(f"{glob.escape(path.name)}.damaged-*")}
        return sorted(found)

    def remove(self, identity: Identity) -> list[Path]:
        """Delete all files of a run, the record last, and return their paths; call it within ``claim``.

        Raises:
            StorageError: A file cannot be deleted.
        """
        record = self.record_path(identity)
        return _delete(sorted(self.files(identity), key=lambda path: path == record))

    def remove_trained(self, identity: Identity) -> list[Path]:
        """Delete what a run is continued from: encoder, checkpoints, snapshots and answers; the record and the log stay."""
        kept = (self.record_path(identity).parent, self.log_path(identity).parent)
        return _delete([path for path in self.files(identity) if path.parent not in kept])

    def remove_abandoned(self) -> list[Path]:
        """Delete the temporary files that killed writers left, and return their paths; one that cannot be deleted stays."""
        removed = []
        for folder in (f"{kind}{task}" for kind in KINDS for task in ("", "-val")):
            for path in abandoned(self.root / folder):
                with suppress(OSError):
                    path.unlink()
                    removed.append(path)
        return removed

    @contextmanager
    def claim(self, identity: Identity, *, wait: bool = True) -> Iterator[bool]:
        """Lock a run within a ``with`` block; yield whether the lock was acquired, which is always the case with ``wait``.

        The lock of a process that died is released by the system. Read the record again after acquiring the lock: the process
        that held it before may have finished the run.

        Raises:
            StorageError: The folder is not writable.
        """
        relative = self.record_path(identity).relative_to(self.root).with_suffix(".lock")
        lock = FileLock(self.root / ".locks" / relative)
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise StorageError(f"cannot lock {lock.lock_file}: {error.strerror or error}; choose --results") from error
        try:
            yield True
        finally:
            lock.release()

    def check_writable(self) -> None:
        """Raise StorageError if nothing can be written to the folder."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"0")
                file.flush()
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(
                f"results folder {self.root} cannot be written: {reason}; choose --results DIR"
            ) from error


def read_record(path: Path) -> Record | Problem | None:
    """Return the record in a file, or a ``Problem`` if it is not a valid record, or None if there is no file.

    At most ``LARGEST_RECORD`` bytes are read, and nothing but regular files is opened.
    """
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST_RECORD + 1)
        if len(data) > LARGEST_RECORD:
            return Problem(path, f"it is larger than {LARGEST_RECORD // 2**20} MB")
        return from_json(data)
    except FileNotFoundError:
        return None
    except UnreadableRecord as error:
        return Problem(path, str(error))
    except OSError as error:
        return Problem(path, error.strerror or str(error))


def _readable(record: Record) -> str:
    """Return the JSON text of a record; raise UnreadableRecord if it could not be read back."""
    try:
        text = to_json(record)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnreadableRecord(str(error).partition("\n")[0]) from None
    from_json(text)
    return text


def _delete(paths: list[Path]) -> list[Path]:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete {path}: {error.strerror or error}") from error
    return paths
