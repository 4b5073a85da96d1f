"""Weights & Biases: as its own environment variables say; its folder is ``tracking/wandb/`` of the results folder."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import wandb

from bench.atomic import write_whole
from bench.tracking.tracker import TrackedRun

PROJECT = "sslbench"
"""Name of the project, unless ``WANDB_PROJECT`` is set."""
START_SECONDS = 45.0
"""Longest wait for the server at the start."""
_LONGEST_TAG = 64


class WandbTracker:
    """Writes history and summary; a resumed run has the same id. Offline, each session has its own folder with this id."""

    def start(self, run: TrackedRun, step: int | None) -> Mapping[str, int]:
        """Begin or continue a run. See ``Tracker``."""
        self._kept = _Kept.of(run)
        self._kept.write()
        folder = Path(os.environ.get("WANDB_DIR") or run.folder)
        folder.mkdir(parents=True, exist_ok=True)
        short = [run.tags[key] for key in ("dataset", "task", "method", "backbone", "budget")]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=self._kept.id,
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
        return dict(self._kept.steps)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add to the history."""
        self._run.log(dict(figures), step=step)
        self._kept.steps |= dict.fromkeys(figures, step)
        self._kept.write()

    def scores(self, step: int, protocol: str, metrics: Mapping[str, float]) -> None:
        """Set ``protocol/metric`` in the summary."""
        self._run.summary.update({f"{protocol}/{name}": value for name, value in metrics.items()})

    def end(self, status: str, cause: str | None) -> None:
        """Set status and cause in the summary, and wait until all is sent."""
        self._run.summary.update({"status": status, "cause": cause})
        self._run.finish(exit_code=0 if status in ("ok", "collapsed") else 1)


@dataclass
class _Kept:
    """What is kept about a run in W&B, because its files cannot be read: its id, and the last step of each figure that was sent."""

    path: Path
    digest: str
    id: str
    steps: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, run: TrackedRun) -> "_Kept":
        """Return what is kept about a run; a run that is new or repeated gets a new id."""
        path = run.folder / "wandb" / "ids" / f"{run.name}.json"
        try:
            found = json.loads(path.read_text())
            if not run.repeated and found["digest"] == run.digest:
                return cls(path, run.digest, str(found["id"]), {str(n): int(s) for n, s in found["steps"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return cls(path, run.digest, secrets.token_hex(8))

    def write(self) -> None:
        """Write the file."""
        content = json.dumps({"digest": self.digest, "id": self.id, "steps": self.steps})
        write_whole(self.path, lambda temporary: temporary.write_text(content))
