"""A file of one run with one entry per observed epoch: snapshots, and answers to the test images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.atomic import write_whole
from bench.records.digest import digest
from bench.records.record import Identity
from bench.records.stored_files import open_regular, set_aside


class EpochFile:
    """Arrays with one entry per observed epoch: ``epochs`` [S], each named array [S, …], constant arrays, and the run's ``identity``.

    Args:
        path: Path of the file.
        content: What the file holds, for messages, for example ``snapshots``.
        arrays: Names of the arrays that have one entry per epoch.
        identity: The run's identity; a file of another run is replaced.
        on_message: Receives the message that a damaged file was renamed.
    """

    def __init__(
        self,
        path: Path,
        content: str,
        arrays: Sequence[str],
        identity: Identity,
        on_message: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.content, self.arrays, self.on_message = path, content, arrays, on_message
        self.owner = digest(identity)
        self.constant: dict[str, Any] = {}
        self.taken: dict[int, Mapping[str, Any]] = {}

    def begin(self, epoch: int) -> None:
        """Keep the entries of this run up to an epoch; 0 keeps none. A damaged file is reported and renamed."""
        self.taken = {}
        if not epoch:
            return
        try:
            with open_regular(self.path) as opened, np.load(opened) as file:
                if str(file["identity"]) == self.owner:
                    entries = zip(*(file[name] for name in self.arrays), strict=True)
                    found = zip(file["epochs"].tolist(), entries, strict=True)
                    self.taken = {
                        number: dict(zip(self.arrays, entry, strict=True)) for number, entry in found if number <= epoch
                    }
        except FileNotFoundError:
            return
        except Exception as error:  # a damaged archive raises errors of many types
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            kept = set_aside(self.path, "damaged")
            self.on_message(
                f"{self.content} {self.path} cannot be read ({line}): renamed to {kept}; earlier epochs are missing"
            )

    def add(self, epoch: int, entry: Mapping[str, Any]) -> None:
        """Add the entry of an epoch and write the file.

        Raises:
            StorageError: The file cannot be written.
        """
        self.taken[epoch] = entry
        write_whole(self.path, self._write)

    def _write(self, path: Path) -> None:
        columns: dict[str, Any] = {
            name: np.stack([entry[name] for entry in self.taken.values()]) for name in self.arrays
        }
        with path.open("wb") as file:
            np.savez(file, epochs=np.array(list(self.taken)), identity=np.array(self.owner), **columns, **self.constant)
