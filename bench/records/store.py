"""The results folder: one file a record, written whole or not at all, shared by many processes."""

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
    """A file among the records that is none: where it is and why it was skipped."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: skipped, {self.reason}"


class Store:
    """A results folder: records, and beside them encoders, checkpoints, logs and snapshots."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def records_dir(self, task: TaskName = "test") -> Path:
        """Return the folder of the records measured on ``task``."""
        return self._kind("records", task)

    def record_path(self, identity: Identity) -> Path:
        """Return where the record of a run stands, whatever its versions."""
        return self._path("records", identity, ".json")

    def encoder_path(self, identity: Identity) -> Path:
        """Return where the trained encoder of a run stands."""
        return self._path("encoders", identity, ".safetensors")

    def checkpoint_path(self, identity: Identity) -> Path:
        """Return where an unfinished run keeps its state."""
        return self._path("checkpoints", identity, ".pt")

    def last_path(self, identity: Identity) -> Path:
        """Return where a finished run keeps its last state, for one that goes on from it."""
        return self._path("checkpoints", identity, ".last.pt")

    def log_path(self, identity: Identity) -> Path:
        """Return where the log of a run stands."""
        return self._path("logs", identity, ".log")

    def snapshots_path(self, identity: Identity) -> Path:
        """Return where the snapshots of a run stand."""
        return self._path("snapshots", identity, ".npz")

    def _kind(self, kind: str, task: TaskName) -> Path:
        return self.root / (kind if task == "test" else f"{kind}-{task}")

    def _path(self, kind: str, identity: Identity, suffix: str) -> Path:
        folder = self._kind(kind, identity.task) / file_name(identity.dataset) / file_name(identity.backbone)
        folder = folder / file_name(identity.budget) / method_folder(identity.method, identity.settings)
        return folder / f"seed-{identity.seed}{suffix}"

    def read(self, identity: Identity) -> Record | None:
        """Return the record that stands in a run's place, perhaps of other versions; None for no file or an unreadable one."""
        found = read_record(self.record_path(identity))
        return found if isinstance(found, Record) else None

    def read_all(self, task: TaskName = "test") -> tuple[list[Record], list[Problem]]:
        """Return all records of a task, in the order of their paths, and the files that are none."""
        records, problems = [], []
        for path in self.paths(task):
            found = read_record(path)
            if isinstance(found, Problem):
                problems.append(found)
            elif found is not None:
                records.append(found)
        return records, problems

    def paths(self, task: TaskName = "test") -> list[Path]:
        """Return the paths of all JSON files among the records of a task, sorted."""
        return sorted(path for path in self.records_dir(task).rglob("*.json") if not path.name.startswith("."))

    def write(self, record: Record) -> str | None:
        """Write a record in its place.

        A file there that is no record of ours (a foreign one, or of a newer sslbench) is kept beside it, renamed.

        Returns:
            One line for the user where a file was renamed, else None.

        Raises:
            StorageError: The disk is full or the folder cannot be written; the old record stands still.
        """
        path = self.record_path(record.identity)
        found = read_record(path)
        said = (
            f"{path} could not be read ({found.reason}): renamed to {_keep(path)}"
            if isinstance(found, Problem)
            else None
        )
        write_text(path, to_json(record))
        return said

    @contextmanager
    def claim(self, identity: Identity, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock of a run, and yield whether it is ours: always, unless we do not ``wait`` for it.

        Another process that died holds nothing: the system frees its lock. Read the record again once the claim is
        yours: the one who held it before may have finished the run.

        Raises:
            StorageError: The folder cannot be written.
        """
        place = self.record_path(identity).relative_to(self.root).with_suffix(".lock")
        lock = FileLock(self.root / ".locks" / place)
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
        """Raise StorageError, in one line, where nothing can be written to the folder."""
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
    """Return the record in a file, or why it is none, or None where no file is."""
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except UnreadableRecord as error:
        return Problem(path, str(error))
    except UnicodeDecodeError:
        return Problem(path, "no text in UTF-8")
    except OSError as error:
        return Problem(path, error.strerror or str(error))


def _keep(path: Path) -> str:
    """Rename a file and return its new name."""
    number = 1
    while (kept := path.with_name(f"{path.name}.kept-{number}")).exists():
        number += 1
    try:
        path.rename(kept)
    except OSError as error:
        raise StorageError(f"cannot set {path} aside: {error.strerror or error}; move it away yourself") from error
    return kept.name
