"""Time left of a command: the estimates of its runs, corrected by how long the ended runs took."""

from collections.abc import Mapping

from bench.records.record import Identity


def duration(seconds: float) -> str:
    """Return a duration in words: ``40 s``, ``3 min``, ``1 h 20 min`` or ``2 days 3 h``."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} day{'s' if days > 1 else ''} {hours} h"


class TimeLeft:
    """Estimates the time left; call ``start`` and ``end`` for every run.

    Args:
        estimates: Estimated seconds of each run, by its identity's ``key``.
        jobs: Number of runs at the same time.
    """

    def __init__(self, estimates: Mapping[str, float], jobs: int) -> None:
        self._waiting = dict(estimates)
        self._running: dict[str, tuple[float, float]] = {}
        self._jobs = max(1, jobs)
        # The estimate counts as much as one average run, so that a single short run does not change everything.
        self._estimated = self._took = sum(estimates.values()) / len(estimates) if estimates else 0.0

    def start(self, identity: Identity, now: float) -> None:
        """Note that a run started."""
        key = run_name(identity)
        if key in self._waiting:
            self._running[key] = (self._waiting.pop(key), now)

    def end(self, identity: Identity, now: float) -> None:
        """Note that a run ended."""
        key = run_name(identity)
        self._waiting.pop(key, None)
        if key in self._running:
            estimated, started = self._running.pop(key)
            self._estimated += estimated
            self._took += now - started

    def seconds(self, now: float) -> float:
        """Return the seconds left at the time ``now``."""
        ratio = self._took / self._estimated if self._estimated else 1.0
        running = [max(ratio * estimated - (now - began), 0.0) for estimated, began in self._running.values()]
        left = [*running, *(ratio * estimated for estimated in self._waiting.values())]
        return max(sum(left) / self._jobs, max(left, default=0.0))


def run_name(identity: Identity) -> str:
    """Return a text that distinguishes the runs of a command."""
    return (
        f"{identity.method} {sorted(identity.settings.items())} {identity.backbone} {identity.budget} {identity.seed}"
    )
