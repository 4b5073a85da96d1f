"""Weights & Biases: as its own environment variables say; its folder is ``tracking/wandb/`` of the results folder."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import wandb
from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore

from bench.atomic import write_whole
from bench.tracking.tracker import TRAINING, TrackedRun

PROJECT = "sslbench"
"""Name of the project, unless ``WANDB_PROJECT`` is set."""
START_SECONDS = 45.0
"""Longest wait for the server at the start."""
_LONGEST_TAG = 64


class WandbTracker:
    """Writes history and summary; a resumed run has the same id. Offline, each session has its own folder with this id."""

    def start(self, run: TrackedRun, step: int | None) -> Mapping[str, int]:
        """Begin or continue a run. See ``Tracker``."""
        id = _id(run)
        folder = Path(os.environ.get("WANDB_DIR") or run.folder)
        folder.mkdir(parents=True, exist_ok=True)
        held = _last_steps(folder / "wandb", id)
        short = [run.tags[key] for key in ("dataset", "task", "method", "backbone", "budget")]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=id,
            name=run.name,
            group=run.name.rpartition("/")[0][:128],
            tags=[tag[:_LONGEST_TAG] for tag in dict.fromkeys(short)],
            config={"sslbench": dict(run.tags)},
            dir=str(folder),
            resume="allow",
            settings=wandb.Settings(
                console="off",
                silent=True,
                init_timeout=START_SECONDS,
                save_code=False,
                disable_git=True,
                x_disable_stats=True,
            ),
        )
        return held

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add to the history."""
        self._run.log(dict(figures), step=step)

    def scores(self, step: int, protocol: str, metrics: Mapping[str, float]) -> None:
        """Set ``protocol/metric`` in the summary."""
        self._run.summary.update({f"{protocol}/{name}": value for name, value in metrics.items()})

    def end(self, status: str, cause: str | None) -> None:
        """Set status and cause in the summary, and wait until all is sent."""
        self._run.summary.update({"status": status, "cause": cause})
        self._run.finish(exit_code=0 if status in ("ok", "collapsed") else 1)


def _id(run: TrackedRun) -> str:
    """Return the id of the run in W&B, which is kept in a file: a run that is repeated has another one than before."""
    path = run.folder / "wandb" / "ids" / f"{run.name}.json"
    try:
        kept = json.loads(path.read_text())
        if not run.repeated and kept["digest"] == run.digest:
            return str(kept["id"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    id = secrets.token_hex(8)
    write_whole(path, lambda temporary: temporary.write_text(json.dumps({"digest": run.digest, "id": id})))
    return id


def _last_steps(folder: Path, id: str) -> dict[str, int]:
    """Return the last step of each figure of the training in the files of all sessions with this id."""
    last: dict[str, int] = {}
    for path in folder.glob(f"*run-*-{id}/run-{id}.wandb"):
        for record in records(path):
            if record.WhichOneof("record_type") == "history":
                figures = {".".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
                step = int(figures.get("_step", record.history.step.num))
                last |= {name: max(step, last.get(name, 0)) for name in figures if name.startswith(TRAINING)}
    return last


def records(path: Path) -> Iterator[Any]:
    """Return the records of one of W&B's files; the last one may be incomplete if its process was killed."""
    store = DataStore()
    store.open_for_scan(str(path))
    while True:
        try:
            data = store.scan_data()
        except (AssertionError, ValueError):
            return
        if data is None:
            return
        record = Record()
        record.ParseFromString(data)
        yield record
