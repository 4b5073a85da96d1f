"""MLflow: the server of ``MLFLOW_TRACKING_URI``, otherwise a SQLite file in ``tracking/mlflow/`` of the results folder."""

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from bench.tracking.tracker import TRAINING, TrackedRun, allowed

EXPERIMENT = "sslbench"
"""Name of the experiment, unless ``MLFLOW_EXPERIMENT_NAME`` is set."""
LOCK_SECONDS = 60.0
"""Longest wait for other processes that write the same SQLite file."""
_DIGEST = "sslbench.digest"
_ENDS = {"ok": "FINISHED", "collapsed": "FINISHED", "interrupted": "KILLED"}
_DEFAULTS = {
    # A server that does not answer must not hold the run up at its end.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)

from filelock import FileLock  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, RunTag  # noqa: E402


class MlflowTracker:
    """Writes metrics and tags; a resumed run is found by the tag with its digest."""

    def start(self, run: TrackedRun, step: int | None) -> Mapping[str, int]:
        """Begin or continue a run. See ``Tracker``."""
        uri, self._lock, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), _no_lock(), None
        if not uri:
            folder = run.folder / "mlflow"
            folder.mkdir(parents=True, exist_ok=True)
            uri, artifacts = f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()
            self._lock = FileLock(folder / ".lock", timeout=LOCK_SECONDS)
        with self._lock:
            self._client = MlflowClient(uri)
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
            experiment = self._experiment(name, artifacts)
            found = (
                []
                if run.repeated
                else self._client.search_runs(
                    [experiment],
                    f"tags.`{_DIGEST}` = '{run.digest}'",
                    order_by=["attributes.start_time DESC"],
                    max_results=1,
                )
            )
            if not found:
                tags = {f"sslbench.{allowed(key)}": value for key, value in run.tags.items()} | {_DIGEST: run.digest}
                self._id = self._client.create_run(experiment, tags=tags, run_name=run.name).info.run_id
                return {}
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            names = [name for name in found[0].data.metrics if name.startswith(TRAINING)]
            return {name: max(m.step for m in self._client.get_metric_history(self._id, name)) for name in names}

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add metrics."""
        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, step) for name, value in figures.items()]
        with self._lock:
            self._client.log_batch(self._id, metrics=metrics)

    def scores(self, step: int, protocol: str, metrics: Mapping[str, float]) -> None:
        """Add metrics ``protocol/metric``."""
        self.log(step, {f"{protocol}/{name}": value for name, value in metrics.items()})

    def end(self, status: str, cause: str | None) -> None:
        """Set the status, and the cause as a tag."""
        with self._lock:
            tags = [RunTag("sslbench.status", status), RunTag("sslbench.cause", cause or "")]
            self._client.log_batch(self._id, tags=tags)
            self._client.set_terminated(self._id, _ENDS.get(status, "FAILED"))

    def _experiment(self, name: str, artifacts: str | None) -> str:
        """Return the id of the experiment; another process may create it at the same time."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, artifact_location=artifacts))
            except Exception:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)


def _no_lock() -> AbstractContextManager[object]:
    return nullcontext()
