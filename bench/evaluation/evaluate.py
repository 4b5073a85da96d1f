"""Evaluates an encoder: extracts its features once, runs protocols on them and scores their predictions."""

import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench import seeds
from bench.data.dataset import Dataset
from bench.data.label_sets import label_sets_hash
from bench.device import exact_float32
from bench.errors import Diverged
from bench.evaluation.features import extract
from bench.evaluation.score import score
from bench.evaluation.task import Network, generators, label_sets, preparation, shared_results, task_of
from bench.records.record import Measurement
from bench.registry.protocols import content_of
from methods.base import Encoder
from protocols import catalogue
from protocols.base import Predictions, Task
from protocols.selection import release


class Evaluation:
    """Evaluation of one encoder on one data set by any protocol.

    Args:
        encoder: The encoder, in eval mode on its device.
        dataset: The data set; its test labels are sealed.
        backbone: Name of the backbone, for ``scratch`` protocols.
        seed: Seed of the run.
        on_images: Called with (images done, images in total) while features are extracted.
        check_stop: Called at least once per second: before every batch that the network processes, and in every step of a protocol. It
            may raise to stop the evaluation. Protocols receive it, so it must not hold the data set.
        folder: Folder for features that are too many for memory, also those that a protocol computes; None keeps all in memory.
    """

    def __init__(
        self,
        encoder: Encoder,
        dataset: Dataset,
        backbone: str,
        seed: int,
        on_images: Callable[[int, int], None] = lambda done, total: None,
        check_stop: Callable[[], None] = lambda: None,
        folder: Path | None = None,
    ) -> None:
        # Fine-tuning is a quarter faster than with channels first.
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.dataset = dataset
        self.seed = seed
        self.on_images = on_images
        self.check_stop = _releasing(check_stop)
        self.folder = folder
        self.device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
        self.network = Network(self.encoder, backbone, self.device)
        self.label_set = label_sets(dataset.train_labels, dataset.class_names)
        self.once = shared_results()

    def measure(self, name: str, already_measured: Sequence[str] = ()) -> Measurement:
        """Run one protocol and score its predictions.

        Args:
            name: The protocol's id.
            already_measured: Ids of protocols that the run has already measured. If one of them is the same protocol on exactly
                the same label sets, the measurement only refers to it (``same_as``).
        """
        entry = catalogue.resolve(name)
        equal = self._equal_protocol(entry, already_measured)
        if equal is not None:
            return Measurement(version=entry.version, same_as=equal, plugin=content_of(name))
        started = time.monotonic()
        predictions = self.predict(name)
        scores = score(predictions, self.dataset.test_labels, self.dataset.traits.classes)
        if entry.metric is not None and entry.metric not in scores.metrics:
            raise ValueError(f"protocol '{name}' gives no '{entry.metric}', the metric that its entry names")
        return Measurement(
            version=entry.version,
            metrics=scores.metrics,
            draws=scores.draws,
            variants=scores.variants,
            choices=predictions.choices,
            curves=predictions.curves | scores.curves,
            train_accuracy=predictions.train_accuracy,
            correct=scores.correct,
            images=len(self.dataset.test_labels) if scores.correct else 0,
            largest_class=scores.largest_class,
            label_sets=label_sets_hash(sets) if (sets := self._label_sets(entry)) else None,
            seconds=time.monotonic() - started,
            plugin=content_of(name),
        )

    def predict(self, name: str) -> Predictions:
        """Run one protocol, by its id; its predictions are not compared with any label."""
        entry = catalogue.resolve(name)
        with exact_float32(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            seeds.seed_everything(self.seed, "protocol", name)
            return _predictions(entry, catalogue.load(entry).predict(self.task(name)))

    def collapse(self) -> str | None:
        """Return why the features have collapsed, or None if they have not.

        The thresholds are in the protocol catalogue; untrained encoders and raw pixels pass them.

        Raises:
            Diverged: The features are not finite, or too large to be measured.
        """
        values = {
            name: catalogue.load(catalogue.resolve(name)).predict(self.task(name)).metrics[name]
            for name in catalogue.COLLAPSED
        }
        for name, value in values.items():
            if not math.isfinite(value):
                raise Diverged(f"{name} of the features is not finite")
        for name, threshold in catalogue.COLLAPSED.items():
            if values[name] < threshold:
                return f"{name} {values[name]:.3g} is below {threshold:g}"
        return None

    def task(self, purpose: str) -> Task:
        """Return the task of one protocol; its generators depend on the run's seed and on ``purpose``, the protocol's id."""
        generator = generators(self.seed, purpose, self.device)
        return task_of(self.dataset, self.network, self.features, generator, self.check_stop, self.once, self.folder)

    @cached_property
    def features(self) -> tuple[Float[Tensor, "train dim"], Float[Tensor, "test dim"]]:
        """Features of the train and test images, extracted once for all protocols."""
        data = self.dataset
        total = len(data.train_images) + len(data.test_images)
        prepare = preparation(self.network, self.check_stop)
        done = len(data.train_images)
        train = extract(self.encoder, data.train_images, prepare, lambda n: self.on_images(n, total), self.folder)
        test = extract(self.encoder, data.test_images, prepare, lambda n: self.on_images(done + n, total), self.folder)
        return train, test

    def _label_sets(self, entry: catalogue.Entry) -> list[Int[Tensor, " labelled"]]:
        sets = catalogue.label_sets_of(entry, self.dataset.traits.classes)
        return [self.label_set(sets[0], draw) for draw in range(sets[1])] if sets else []

    def _equal_protocol(self, entry: catalogue.Entry, already_measured: Sequence[str]) -> str | None:
        """Return a protocol that differs only in its number of labels and has exactly the same label sets, or None."""
        own = self._label_sets(entry)
        for other in (catalogue.resolve(name) for name in already_measured if name != entry.id) if own else ():
            theirs = self._label_sets(other) if _without_labels(other) == _without_labels(entry) else []
            if len(theirs) >= len(own) and all(torch.equal(a, b) for a, b in zip(own, theirs, strict=False)):
                return other.id
        return None


def _releasing(check_stop: Callable[[], None]) -> Callable[[], None]:
    """Return ``check_stop``, which also gives back the memory of the images and features that a protocol has read."""

    def check() -> None:
        release()
        check_stop()

    return check


def _predictions(entry: catalogue.Entry, answer: object) -> Predictions:
    """Return a protocol's answer; raises ValueError if it holds nothing that could be compared or shown."""
    if not isinstance(answer, Predictions):
        raise ValueError(f"protocol '{entry.id}' returns a {type(answer).__name__}; return Predictions")
    compared = {
        "scores": bool(answer.scores),
        "clusters": answer.clusters is not None,
        "confidences": answer.confidences is not None,
    }
    kinds = [name for name, given in compared.items() if given]
    if len(kinds) > 1:
        raise ValueError(f"protocol '{entry.id}' returns {' and '.join(kinds)}; return one of them")
    if not entry.label_free and not kinds:
        raise ValueError(f"protocol '{entry.id}' returns no scores; return them, or declare label_free=True")
    if entry.label_free and not answer.metrics:
        raise ValueError(f"protocol '{entry.id}' is label-free and returns no metrics")
    if len(answer.conditions) != (len(answer.scores) if entry.fixed_conditions else 0):
        expected = "one for each block of scores" if entry.fixed_conditions else "declare fixed_conditions=True"
        raise ValueError(f"protocol '{entry.id}' returns {len(answer.conditions)} conditions; {expected}")
    return answer


def _without_labels(entry: catalogue.Entry) -> tuple[str, dict[str, object]]:
    return entry.module, {name: value for name, value in entry.constants.items() if name not in ("labels", "draws")}
