"""The best epoch of each run, chosen on the test images: what a table does that reports the maximum over the epochs.

This is allowed nowhere else in sslbench, and it happens here only for the systems of a study that have ``best_epoch_on_test``, after all
their runs have ended. What it finds is stored in the study's ``study.json``, not in a record: no leaderboard, rank or search can use it.
"""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from bench.data.spec import DatasetSpec
from bench.evaluation.score import pack, right_after_each_epoch
from bench.execution.epoch_file import EpochFile
from bench.records.digest import digest
from bench.records.record import Measurement, Record
from bench.records.store import Store
from bench.studies.manifest import SystemRecords, records_of
from bench.studies.results import BestEpoch
from bench.studies.study import Study

Earlier = Mapping[str, tuple[BestEpoch, ...]]


def best_epochs(
    study: Study,
    systems: Mapping[str, SystemRecords],
    earlier: Earlier,
    results: Path,
    dataset: DatasetSpec,
    on_message: Callable[[str], None],
) -> dict[str, tuple[BestEpoch, ...]]:
    """Return the best epoch of each run of each system that asks for it, by system id.

    Args:
        study: The study.
        systems: The records of its systems.
        earlier: What was found before; it is kept for a run whose answers were deleted since then.
        results: The results folder.
        dataset: The study's data set; its test labels are opened once per run.
        on_message: Receives one line for each run without answers.
    """
    found: dict[str, tuple[BestEpoch, ...]] = {}
    asking = [system.id for system in study.systems if system.best_epoch_on_test]
    data = dataset.load() if asking else None
    for id in asking:
        assert data is not None
        of_runs = []
        for record in records_of(results, systems[id]):
            measurement = record.protocols.get(systems[id].protocol)
            if measurement is None:
                continue
            kept = next((e for e in earlier.get(id, ()) if e.run == digest(record.identity)), None)
            answers = _answers(Store(results), record, on_message)
            if answers and measurement.images == len(data.test_labels) == len(next(iter(answers.values()))):
                right = right_after_each_epoch(torch.from_numpy(np.stack(list(answers.values()))), data.test_labels)
                of_runs.append(_best(record, measurement, list(answers), right.numpy()))
            elif kept is not None:
                of_runs.append(kept)
            else:
                on_message(
                    f"{record.identity.method}, seed {record.identity.seed}: its best epoch is not known, "
                    "because no answers to these images after every epoch are stored; --force trains it again"
                )
        found[id] = tuple(of_runs)
    return found


def _answers(store: Store, record: Record, on_message: Callable[[str], None]) -> dict[int, "np.ndarray"]:
    """Return the stored answers of a run by epoch; empty if there are none of this run, or if they are no classes."""
    identity = record.identity
    file = EpochFile(store.answers_path(identity), "answers", ("answers",), identity, on_message)
    file.begin(identity.epochs)
    answers = {epoch: entry["answers"] for epoch, entry in sorted(file.taken.items())}
    return answers if all(array.ndim == 1 and array.dtype.kind == "i" for array in answers.values()) else {}


def _best(record: Record, measurement: Measurement, epochs: list[int], right: "np.ndarray") -> BestEpoch:
    """Return the best epoch; the answers after the last one are those of the record, which another arithmetic may have computed."""
    bits = np.frombuffer(base64.b64decode(measurement.correct[0]), np.uint8)
    last = np.unpackbits(bits, count=measurement.images).astype(bool)
    by_epoch = dict(zip(epochs, right, strict=True)) | {record.identity.epochs: last}
    top1 = {epoch: float(of_epoch.mean()) for epoch, of_epoch in sorted(by_epoch.items())}
    epoch = max(top1, key=lambda epoch: top1[epoch])
    return BestEpoch(digest(record.identity), list(top1), list(top1.values()), epoch, pack(by_epoch[epoch]))
