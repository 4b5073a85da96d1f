"""Trackers of a run: what they are called, and that they end with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from bench.errors import Stopped
from bench.planning.plan import PlannedRun
from bench.records.digest import digest
from bench.records.record import Identity
from bench.records.run_log import RunLog
from bench.records.store import Store
from bench.tracking.tracker import TrackedRun
from bench.tracking.tracking import Tracking
from bench.training.context import RunContext


@contextmanager
def tracked(run: PlannedRun, context: RunContext) -> Iterator[Tracking]:
    """Start the trackers of a run; after an exception they end as interrupted or failed."""
    log = RunLog(context.store.log_path(run.identity), context.on_message)

    def warn(line: str) -> None:
        log(line)
        context.on_message(f"{run.identity.method}, seed {run.identity.seed}: {line}")

    names = context.options.track
    tracking = Tracking(names, tracked_run(run, context.store) if names else None, warn)
    try:
        yield tracking
    except BaseException as error:
        tracking.end("interrupted" if isinstance(error, Stopped) else "failed", str(error))
        raise


def tracked_run(run: PlannedRun, store: Store) -> TrackedRun:
    """Return a run as trackers know it."""
    identity = run.identity
    place = store.record_path(identity).relative_to(store.records_dir(identity.task)).with_suffix("").as_posix()
    return TrackedRun(
        name=place if identity.task == "test" else f"{identity.task}/{place}",
        digest=digest(identity),
        tags=_tags(identity),
        folder=(store.root / "tracking").absolute(),
        repeated=run.reason == "forced",
    )


def _tags(identity: Identity) -> dict[str, str]:
    fields = asdict(identity)
    settings = {f"settings.{key}": value for key, value in fields.pop("settings").items()}
    return {key: str(value) for key, value in (fields | settings).items() if value is not None}
