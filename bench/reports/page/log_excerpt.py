"""The end of a run's log."""

from collections.abc import Sequence
from pathlib import Path

from bench.records.record import Record
from bench.records.store import Store
from bench.records.stored_files import open_regular
from bench.reports.page.model import LogExcerpt

LINES = 20
"""Largest number of lines of an excerpt."""
BYTES = 6_000
"""Largest number of bytes of an excerpt."""


def excerpt(results: Path, records: Sequence[Record]) -> LogExcerpt | None:
    """Return the end of the log of the first run that is not ``ok``, otherwise of the first run; None if that log cannot be read."""
    record = next((r for r in records if r.status != "ok"), records[0])
    try:
        with open_regular(Store(results).log_path(record.identity)) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - BYTES))
            text = file.read(BYTES).decode(errors="backslashreplace")
    except OSError:
        return None
    found = text.splitlines()
    whole = size <= BYTES and len(found) <= LINES
    # The first line may be cut.
    kept = found if size <= BYTES else found[1:]
    return LogExcerpt(record.identity.seed, "\n".join(kept[-LINES:]), whole) if kept else None
