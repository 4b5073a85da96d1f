"""TensorBoard: event files in ``tracking/tensorboard/`` of the results folder, one folder per run."""

import json
from collections.abc import Mapping
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from bench.tracking.tracker import TRAINING, TrackedRun


class TensorBoardTracker:
    """Writes scalars; a resumed run adds a file to its folder, from which TensorBoard drops what an earlier session wrote past the checkpoint."""

    def start(self, run: TrackedRun, step: int | None) -> Mapping[str, int]:
        """Begin or continue a run; the steps of its scalars are training steps. See ``Tracker``."""
        folder = run.folder / "tensorboard" / run.name
        begun = folder.is_dir() and _digest(folder) == run.digest
        new = run.repeated or not begun
        # The reader drops events from this step on: all if the run is new, none if nothing is trained.
        purge = 0 if new else None if step is None else step + 1
        held = {} if new else _last_steps(folder, step)
        self._writer = SummaryWriter(str(folder), purge_step=purge)
        if new:
            self._writer.add_text("identity", f"```json\n{json.dumps(dict(run.tags), indent=2)}\n```", 0)
            self._writer.add_text("digest", run.digest, 0)
            self._writer.flush()
        return held

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add scalars, and write them to the file at once: the run may be killed."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def scores(self, step: int, protocol: str, metrics: Mapping[str, float]) -> None:
        """Add scalars ``protocol/metric``."""
        self.log(step, {f"{protocol}/{name}": value for name, value in metrics.items()})

    def end(self, status: str, cause: str | None) -> None:
        """Close the file."""
        self._writer.close()


def _digest(folder: Path) -> str | None:
    """Return the digest of the run that the event files of a folder belong to."""
    events = EventAccumulator(str(folder))
    events.Reload()
    if "digest/text_summary" not in events.Tags()["tensors"]:
        return None
    return str(events.Tensors("digest/text_summary")[-1].tensor_proto.string_val[0].decode())


def _last_steps(folder: Path, step: int | None) -> dict[str, int]:
    """Return the last step of each scalar of the training, at most ``step``."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    names = [name for name in events.Tags()["scalars"] if name.startswith(TRAINING)]
    steps = {
        name: [event.step for event in events.Scalars(name) if step is None or event.step <= step] for name in names
    }
    return {name: max(found) for name, found in steps.items() if found}
