"""The rows of a batch that one of several processes computes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """The rows from ``start`` up to ``stop`` of a batch of ``of`` rows."""

    start: int
    stop: int
    of: int

    @property
    def part(self) -> slice:
        """The rows as an index."""
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


def share_of(rank: int, size: int, rows: int) -> Rows:
    """Return the rows of process ``rank`` of ``size``: contiguous, and the first processes have one more if they cannot be equal."""
    each, more = divmod(rows, size)
    start = rank * each + min(rank, more)
    return Rows(start, start + each + (rank < more), rows)
