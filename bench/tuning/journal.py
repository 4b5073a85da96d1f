"""The journal of a search: Optuna's storage in one file, shared by several processes; the results themselves are in the records.

Every trial is asked when a search starts, so that it is known to all processes, and told when its runs have ended. A trial whose process
was killed stays asked, and the next process takes it up again: the lock of its run, not the journal, keeps two processes apart.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from bench.errors import SslbenchError, StorageError
from bench.printable import printable
from bench.records.stored_files import open_regular, set_aside
from bench.registry.search_space import Axis
from bench.tuning.points import SEED, Point, distributions, sampler
from bench.tuning.score import SCORED, Outcome

if TYPE_CHECKING:
    import optuna

NAME = "journal.log"
"""Name of the file in the folder of a search."""
LARGEST = 64 * 2**20
"""Largest size of a journal in bytes; a larger file is not read."""
PLAN, POINT = "plan", "fixed_params"


@dataclass(frozen=True)
class Searched:
    """A method whose trials are in the journal.

    Attributes:
        name: The method's id, with the content of its plugin.
        version: ``recipe.version``.
        axes: Its search space.
        points: The settings of the trials, in order.
    """

    name: str
    version: int
    axes: Sequence[Axis]
    points: Sequence[Point]

    @property
    def plan(self) -> str:
        """Everything that must not change within a search, as text."""
        axes = [[axis.key, axis.shipped, *axis.ends, axis.log] for axis in self.axes]
        return json.dumps({"version": self.version, "seed": SEED, "scored": SCORED, "axes": axes})


class _Held:
    """The lock of the file for Optuna: this process holds it already (Optuna's own would outlive a killed process)."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Journal:
    """The journal of all methods of one data set, backbone and budget.

    Args:
        folder: The folder of the search; it is created if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lock = FileLock(folder / f".{NAME}.lock")

    def ask(self, searched: Searched) -> str | None:
        """Write the trials of a method that are not in the journal yet.

        Returns:
            One line for the user if a damaged journal was renamed, otherwise None.

        Raises:
            SslbenchError: The journal has another search space or other points of this method, or it cannot be read or written.
        """
        with self._locked():
            message = self._set_damaged_aside()
            study = self._study(searched.name)
            made = study.user_attrs.get(PLAN)
            if made not in (None, searched.plan):
                raise SslbenchError(
                    f"{self.path}: the search of {searched.name} was made with another search space or version; delete this file to "
                    "search again (trials with the same settings are not repeated), or choose another --results"
                )
            study.set_user_attr(PLAN, searched.plan)
            known = study.get_trials(deepcopy=False)
            if any(
                trial.system_attrs.get(POINT) != point for trial, point in zip(known, searched.points, strict=False)
            ):
                raise SslbenchError(
                    f"{self.path}: the trials of {searched.name} have other settings than this version of Optuna or SciPy draws; install "
                    "the versions of constraints.txt, or delete this file to search again"
                )
            for point in searched.points[len(known) :]:
                study.enqueue_trial(point)
            waiting = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "WAITING"]
            for _ in waiting:
                study.ask(distributions(searched.axes))
        return message

    def tell(self, searched: Searched, outcomes: Mapping[int, Outcome]) -> None:
        """Write how trials ended; a failed run is tried again by the next command, so only a diverged one ends its trial as failed.

        Args:
            searched: The method.
            outcomes: Number of each trial that ended to what came of it.

        Raises:
            SslbenchError: The journal cannot be read or written.
        """
        from optuna.trial import TrialState

        with self._locked():
            study = self._study(searched.name)
            running = [t.number for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]
            for number in sorted(outcomes.keys() & set(running)):
                outcome = outcomes[number]
                if not outcome.failed:
                    study.tell(number, [float(outcome.accuracy[name]) for name in SCORED])
                elif outcome.status == "diverged":
                    study.tell(number, state=TrialState.FAIL)

    def trials(self, name: str) -> "Sequence[optuna.trial.FrozenTrial]":
        """Return Optuna's trials of a method, in order."""
        with self._locked():
            return self._study(name).get_trials()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the journal, which the system releases if this process dies; Optuna's errors become one line."""
        from optuna.exceptions import OptunaError

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                yield
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}; choose --results") from error
        except (OptunaError, ValueError, KeyError) as error:
            raise SslbenchError(
                f"{self.path}: Optuna cannot use it ({_line(error)}); delete this file: the trials are recorded and are not repeated"
            ) from error

    def _set_damaged_aside(self) -> str | None:
        """Rename a file that is no journal, for example because the disk was full; return a line for the user if there was one."""
        try:
            with open_regular(self.path) as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            return None
        try:
            if len(data) > LARGEST:
                raise ValueError(f"it is larger than {LARGEST // 2**20} MB")
            if data and not data.endswith(b"\n"):
                raise ValueError("its last line is cut off")
            for line in data.splitlines():
                if not isinstance(json.loads(line), dict):
                    raise ValueError("a line is no object")
            self._open().get_all_studies()
        except Exception as error:  # Optuna's reader raises whatever a wrong entry leads to
            kept = set_aside(self.path, "damaged")
            return f"{self.path} cannot be read ({_line(error)}): renamed to {kept}; the trials are recorded and are not repeated"
        return None

    def _open(self) -> "optuna.storages.BaseStorage":
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        lock: Any = _Held()  # Optuna does not export the base class of locks
        return JournalStorage(JournalFileBackend(str(self.path), lock_obj=lock))

    def _study(self, name: str) -> "optuna.Study":
        import optuna

        return optuna.create_study(
            storage=self._open(),
            sampler=sampler(),
            study_name=name,
            directions=[optuna.study.StudyDirection.MAXIMIZE] * len(SCORED),
            load_if_exists=True,
        )


def _line(error: BaseException) -> str:
    return printable(str(error).partition("\n")[0][:200]) or type(error).__name__
