"""The log of a run: a text file that tells, with the time, what happened; the only place of a traceback."""

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path


class RunLog:
    """Appends lines to a file; where it cannot, says so once, and the run goes on without.

    Args:
        path: Of the file; it is made with the first line.
        say: Told that the file cannot be written.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.path, self.say = path, say
        self.works = True

    def __call__(self, text: str) -> None:
        """Write a line, or several that belong together, with the time in UTC."""
        if not self.works:
            return
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        lines = text.rstrip().replace("\n", "\n    ")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{stamp} {lines}\n")
        except OSError as error:
            self.works = False
            self.say(f"log {self.path} cannot be written: {error.strerror or error}; the run goes on without")

    def failure(self, what: str, error: BaseException) -> None:
        """Write an unexpected error with its traceback."""
        self(f"{what}\n{''.join(traceback.format_exception(error))}")
