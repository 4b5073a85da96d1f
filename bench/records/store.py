"""The results folder: one file per record, written atomically; several processes may share the folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.atomic import write_text
from bench.errors import StorageError
from bench.filenames import file_name, method_folder
from bench.records.record import Identity, Record, TaskName
from bench.records.record_json import UnreadableRecord, from_json, to_json


@dataclass(frozen=True)
class Problem:
    """A JSON file in the records folder that is not a valid record, and why it was skipped."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: skipped, {self.reason}"


class Store:
    """A results folder: records, encoders, checkpoints, logs and snapshots."""

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
        found = read_record(self.record_path(identity))
        return found if isinstance(found, Record) else None

    def read_all(self, task: TaskName = "test") -> tuple[list[Record], list[Problem]]:
        """Return all records of a task in the order of their paths, and the files that are not records."""
        records, problems = [], []
        for path in self.paths(task):
            found = read_record(path)
            if isinstance(found, Problem):
                problems.append(found)
            elif found is not None:
                records.append(found)
        return records, problems

    def paths(self, task: TaskName = "test") -> list[Path]:
        """Return the sorted paths of all JSON files in the records folder of a task."""
        return sorted(path for path in self.records_dir(task).rglob("*.json") if not path.name.startswith("."))

    def write(self, record: Record) -> str | None:
        """Write a record.

        An existing file that is not a valid record, or was written by a newer sslbench, is renamed and kept.

        Returns:
            One line for the user if a file was renamed, otherwise None.

        Raises:
            StorageError: The disk is full or the folder is not writable; an existing record stays unchanged.
        """
        path = self.record_path(record.identity)
        found = read_record(path)
        message = (
            f"{path} could not be read ({found.reason}): renamed to {_rename(path)}"
            if isinstance(found, Problem)
            else None
        )
        write_text(path, to_json(record))
        return message

    def remove(self, identity: Identity) -> list[Path]:
        """Delete all files of a run, the record last, and return their paths; call it within ``claim``.

        Raises:
            StorageError: A file cannot be deleted.
        """
        trained = (self.encoder_path(identity), self.checkpoint_path(identity), self.last_path(identity))
        files = (*trained, self.snapshots_path(identity), self.log_path(identity), self.record_path(identity))
        removed = [path for path in files if path.exists()]
        for path in removed:
            try:
                path.unlink()
            except OSError as error:
                raise StorageError(f"cannot delete {path}: {error.strerror or error}") from error
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
    """Return the record in a file, or a ``Problem`` if it is not a valid record, or None if there is no file."""
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except UnreadableRecord as error:
        return Problem(path, str(error))
    except UnicodeDecodeError:
        return Problem(path, "not UTF-8 text")
    except OSError as error:
        return Problem(path, error.strerror or str(error))


def _rename(path: Path) -> str:
    """Rename a file to ``NAME.kept-N`` and return its new name."""
    number = 1
    while (kept := path.with_name(f"{path.name}.kept-{number}")).exists():
        number += 1
    try:
        path.rename(kept)
    except OSError as error:
        raise StorageError(f"cannot rename {path}: {error.strerror or error}; move it to another folder") from error
    return kept.name
