"""The log of a run: a text file of events with their time, and of the traceback if the run fails."""

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.records.stored_files import append_text


class RunLog:
    """Appends lines to a file. If it cannot be written, or is a link or a device, this is reported once and the run continues.

    Args:
        path: The file; it is created with the first line.
        on_message: Receives the message that the file cannot be written.
    """

    def __init__(self, path: Path, on_message: Callable[[str], None] = lambda _: None) -> None:
        self.path, self.on_message = path, on_message
        self.writable = True

    def __call__(self, text: str) -> None:
        """Append a line, or several that belong together, with the time in UTC."""
        if not self.writable:
            return
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        lines = text.rstrip().replace("\n", "\n    ")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append_text(self.path, f"{stamp} {lines}\n")
        except OSError as error:
            self.writable = False
            self.on_message(
                f"log {self.path} cannot be written: {error.strerror or error}; the run continues without a log"
            )

    def failure(self, what: str, error: BaseException) -> None:
        """Append an unexpected error with its traceback."""
        self(f"{what}\n{''.join(traceback.format_exception(error))}")
