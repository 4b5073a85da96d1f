"""What ``--watch`` measures during a training: kNN on ``val`` and RankMe."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from bench import seeds
from bench.data.dataset import Dataset
from bench.data.development import val_as_test
from bench.errors import Diverged, Stopped
from bench.execution.failures import cause_of
from bench.execution.measured import evaluation_now
from bench.records.record import WATCHED, Identity
from methods.base import Method
from protocols.base import NotFinite


class Watching:
    """Measures the encoder every few epochs by the protocols ``knn`` and ``rankme``, on the images of the development task.

    ``val`` is predicted from the rest of ``train``; no test image and no test label is read. A copy of the encoder is measured and the
    random generators are restored: a run that is watched has the same results as one that is not.

    Args:
        every: Epochs between two measurements; the last epoch is always measured.
        identity: The run's identity.
        dataset: The run's data set.
        device: The device of the encoder.
        folder: Folder for features that are too many for memory.
        check_stop: Raises ``Stopped`` if the user asked to stop.
        warn: Receives one line if an epoch cannot be watched, for example because memory ran out.
    """

    def __init__(
        self,
        every: int,
        identity: Identity,
        dataset: Dataset,
        device: torch.device,
        folder: Path,
        check_stop: Callable[[], None],
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.every, self.identity, self.device, self.folder = every, identity, device, folder
        self.check_stop, self.warn = check_stop, warn
        self.dataset = val_as_test(dataset)

    def begin(self, epoch: int) -> None:
        """Do nothing: the figures are kept in the checkpoint."""

    def take(self, method: Method, epoch: int, loss: float) -> Mapping[str, float]:
        """Return ``knn`` (top-1) and ``rankme``; nothing if a feature is not finite, if the user asked to stop, or after any other error."""
        with seeds.restored(self.device):
            try:
                evaluation = evaluation_now(
                    method, self.identity, self.dataset, self.device, self.folder, self.check_stop
                )
                metrics = {name: evaluation.measure(name).metrics for name in WATCHED}
            except (Diverged, NotFinite, Stopped):
                return {}
            except Exception as error:  # the training does not depend on it
                self.warn(
                    f"{self.identity.method}, seed {self.identity.seed}: epoch {epoch} is not watched: {cause_of(error)}"
                )
                return {}
        return {"knn": metrics["knn"]["top1"], "rankme": metrics["rankme"]["rankme"]}
