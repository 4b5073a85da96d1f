"""A run that failed: its cause in one line, and its record if the run could not write one itself."""

from dataclasses import replace
from pathlib import Path

from bench.errors import SslbenchError
from bench.execution.events import RunEnded
from bench.foreign_code import described, place_of
from bench.planning.plan import MEASURED
from bench.records.environment import describe
from bench.records.record import Identity, Record
from bench.records.record_json import UnreadableRecord
from bench.records.run_log import RunLog
from bench.records.store import Store
from bench.training.options import RunOptions

LONGEST_CAUSE = 1000
"""Largest number of characters of a cause."""


def cause_of(error: BaseException) -> str:
    """Return one line for a record: type and text of an error, its place in the code of a plugin, and what was called.

    An SslbenchError has no type in front of it.
    """
    text = described(error)
    # torch.cuda.OutOfMemoryError, by its name: this module is also imported where torch is not.
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if out_of_memory or "can't allocate memory" in text:
        return f"out of memory: {text.removeprefix(f'{type(error).__name__}: ')}"
    if isinstance(error, SslbenchError):
        text = text.removeprefix(f"{type(error).__name__}: ")
    where = [place for place in (place_of(error), *getattr(error, "__notes__", ())) if place]
    return (f"{text} ({', '.join(where)})" if where else text)[:LONGEST_CAUSE]


def with_log(cause: str | None, log: Path) -> str:
    """Return a cause with the file that has the traceback, for the line that the user sees when the run ends."""
    return f"{cause}; traceback in {log}" if log.is_file() else f"{cause}"


def record_crash(identity: Identity, cause: str, options: RunOptions) -> RunEnded:
    """Log and record a run whose process died, and return how it ended; a finished record of the same identity is kept."""
    RunLog(Store(options.results).log_path(identity))(f"end: failed, {cause}")
    message = record_failure(identity, cause, options)
    return RunEnded(identity, "failed", f"{cause}; {message}" if message else cause)


def record_failure(identity: Identity, cause: str, options: RunOptions) -> str | None:
    """Record a run as failed; a finished record of the same identity is kept, and so are the measurements of an unfinished one.

    Returns:
        One line for the user if another file at the record's place was renamed, or if nothing could be recorded; otherwise None.

    Raises:
        StorageError: The results folder cannot be written.
    """
    store = Store(options.results)
    old = store.read(identity)
    record = Record(identity, "failed", cause, environment=describe(options.device, "unknown", options.threads))
    if old is not None and old.identity == identity:
        if old.status in MEASURED:
            return None
        record = replace(old, status="failed", cause=cause)
    try:
        return store.write(record)
    except UnreadableRecord as error:
        return f"this is not recorded: {error}"
