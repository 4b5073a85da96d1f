"""The answers to the test images after every epoch, for studies of tables whose authors chose the epoch on the test images."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from bench import seeds
from bench.data.dataset import Dataset
from bench.errors import Diverged, Stopped, StorageError
from bench.execution.epoch_file import EpochFile
from bench.execution.failures import cause_of
from bench.execution.measured import evaluation_now
from bench.records.record import Identity
from methods.base import Method
from protocols.base import NotFinite


class AnswerFile(EpochFile):
    """The answers of one run to the test images after every epoch: ``epochs`` [S], ``answers`` [S, images], the predicted classes.

    No option of ``sslbench run`` asks for it; only a study does, by ``best_epoch_on_test``. The run never compares these answers with the
    test labels: ``bench.studies.best_epoch`` does so after all trainings, and no record, table or rank contains what it finds.
    A copy of the encoder is measured and the random generators are restored: the run has the same results as one without this file.

    Args:
        path: Path of the file.
        protocol: Id of the protocol that answers.
        identity: The run's identity; a file of another run is replaced.
        dataset: The run's data set.
        device: The device of the encoder.
        folder: Folder for features that are too many for memory.
        check_stop: Raises ``Stopped`` if the user asked to stop.
        on_message: Receives one line if an epoch has no answers, for example because memory ran out, or if a damaged file was renamed.
    """

    every = 1

    def __init__(
        self,
        path: Path,
        protocol: str,
        identity: Identity,
        dataset: Dataset,
        device: torch.device,
        folder: Path,
        check_stop: Callable[[], None],
        on_message: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(path, "answers", ("answers",), identity, on_message)
        self.protocol, self.identity, self.dataset = protocol, identity, dataset
        self.device, self.folder, self.check_stop = device, folder, check_stop

    def take(self, method: Method, epoch: int, loss: float) -> Mapping[str, float]:
        """Add the answers after an epoch and write the file; nothing is added after an error. Return no figures.

        Raises:
            StorageError: The file cannot be written.
        """
        with seeds.restored(self.device):
            try:
                evaluation = evaluation_now(
                    method, self.identity, self.dataset, self.device, self.folder, self.check_stop
                )
                (scores,) = evaluation.predict(self.protocol).scores
            except (Diverged, NotFinite, Stopped):
                return {}
            except StorageError:
                raise
            except Exception as error:  # the training does not depend on it
                run = f"{self.identity.method}, seed {self.identity.seed}"
                self.on_message(f"{run}: epoch {epoch} has no answers: {cause_of(error)}")
                return {}
        self.add(epoch, {"answers": scores.argmax(1).cpu().numpy().astype(np.int32)})
        return {}
