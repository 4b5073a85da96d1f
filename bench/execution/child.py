"""Code that runs in the process of one run: carry out the run and report to the session."""

import signal
import socket
import time
from multiprocessing.connection import Connection

from bench.errors import Stopped, StorageError
from bench.execution.events import RunEnded, RunLocked, RunUpdate, metrics_of
from bench.execution.failures import cause_of, record_failure, with_log
from bench.orphan import end_with_parent
from bench.planning.plan import PlannedRun
from bench.records.record import Record
from bench.records.run_log import RunLog
from bench.records.store import Store
from bench.training.context import Progress, RunContext
from bench.training.options import RunOptions

PROGRESS_SECONDS = 0.2
"""Shortest time between two progress reports, except at the start and the end of a stage."""


def carry_out(connection: Connection, options: RunOptions, run: PlannedRun, slot: int, wait: bool) -> None:
    """Carry out one run; the main function of its process."""
    # Ctrl-C reaches every process of the terminal; only the session handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    try:
        connection.send(_Child(connection, options, run).carry_out(slot, wait))
    except StorageError as error:
        connection.send(error)
    except OSError:  # the session's process has ended
        return


class _Child:
    """The run and its connection to the session."""

    def __init__(self, connection: Connection, options: RunOptions, run: PlannedRun) -> None:
        self.connection, self.options, self.run = connection, options, run
        self.reported = 0.0
        self.terminated = False
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def carry_out(self, slot: int, wait: bool) -> RunEnded | RunLocked:
        """Carry out the run and return how it ended."""
        from bench.execution.run import DataChanged

        identity = self.run.identity
        log = Store(self.options.results).log_path(identity)
        try:
            record = self._execute(slot, wait)
        except Stopped as error:
            return RunEnded(identity, "interrupted", str(error))
        except DataChanged as error:
            return RunEnded(identity, "failed", str(error))
        except StorageError:
            raise
        except BaseException as error:  # what a plugin or the loading of the data raises is the trouble of this run
            RunLog(log, self._send).failure("failed", error)
            message = record_failure(identity, cause_of(error), self.options)
            shown = with_log(cause_of(error), log)
            return RunEnded(identity, "failed", f"{shown}; {message}" if message else shown)
        if record is None:
            return RunLocked(identity)
        cause = with_log(record.cause, log) if record.status == "failed" else record.cause
        return RunEnded(identity, record.status, cause, metrics_of(record.protocols))

    def _execute(self, slot: int, wait: bool) -> Record | None:
        """Load what the run needs in this process, and carry it out."""
        from bench.device import device_of_slot
        from bench.execution.run import execute
        from bench.registry.plugins import load_installed_protocols, load_plugin

        for plugin in self.options.plugins:
            load_plugin(plugin)
        load_installed_protocols()
        device = device_of_slot(self.options.device, slot, self.options.devices)
        if self.options.device == "auto" and device.type == "cpu":
            # The session resolves auto, except on a cluster, where only the node can see whether the reserved GPU is usable.
            self._send(f"node {socket.gethostname()}: torch cannot use the GPU that Ray reserved; the run uses the CPU")
        context = RunContext(
            options=self.options,
            store=Store(self.options.results),
            torch_device=device,
            keep_going=lambda: not self.terminated and not self.connection.poll(),
            on_progress=self._on_progress,
            on_message=self._send,
        )
        return execute(self.run, self.options.dataset.load(), context, wait=wait)

    def _on_sigterm(self, *_: object) -> None:
        self.terminated = True

    def _on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.reported >= PROGRESS_SECONDS or progress.done in (0, progress.total):
            self.reported = now
            self._send(progress)

    def _send(self, content: Progress | str) -> None:
        try:
            self.connection.send(RunUpdate(self.run.identity, content))
        except OSError:
            raise Stopped("the command that started this run has ended") from None
