"""An encoder under the protocols: features once a split, then each protocol, then its score."""

import time
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from bench import seeds
from bench.backbones import build
from bench.data.dataset import Dataset
from bench.data.label_sets import label_set, label_sets_hash
from bench.device import exact_float32
from bench.evaluation.features import extract, fresh_copy
from bench.evaluation.score import score
from bench.pretrained.method import OwnEncoder
from bench.records.record import Measurement
from bench.views.evaluation import augment
from bench.views.prepare import prepare
from methods.base import Encoder
from protocols import catalogue
from protocols.base import Task

Images = UInt8[Tensor, "images channels size size"]


class Evaluation:
    """One encoder and one data set, ready for any protocol.

    Args:
        encoder: In eval mode on its device.
        dataset: With its test labels under seal.
        backbone: The backbone's name, for ``scratch`` protocols.
        seed: The run's.
        on_images: Told (images done, of how many) while features are extracted.
        go_on: Called before every batch that passes the network; raises where the run is to stop.
    """

    def __init__(
        self,
        encoder: Encoder,
        dataset: Dataset,
        backbone: str,
        seed: int,
        on_images: Callable[[int, int], None] = lambda done, total: None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        # A quarter faster to fine-tune than with the channels first.
        self.encoder = encoder.to(memory_format=torch.channels_last)
        self.dataset = dataset
        self.backbone = backbone
        self.seed = seed
        self.on_images = on_images
        self.go_on = go_on
        self.device = next((p.device for p in encoder.parameters()), torch.device("cpu"))

    def measure(self, name: str, beside: Sequence[str] = ()) -> Measurement:
        """Measure one protocol.

        Args:
            name: The protocol's id.
            beside: Protocols of the same run: where one with fewer labels has the very same label sets, it stands for this one.
        """
        entry = catalogue.resolve(name)
        twin = self._twin(entry, beside)
        if twin is not None:
            return Measurement(version=entry.version, same_as=twin)
        started = time.monotonic()
        with exact_float32(), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            seeds.seed_everything(self.seed, "protocol", name)
            predictions = catalogue.load(entry).predict(self.task(name))
        scores = score(predictions, self.dataset.test_labels, self.dataset.traits.classes)
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
            label_sets=label_sets_hash(sets) if (sets := self._sets(entry)) else None,
            seconds=time.monotonic() - started,
        )

    def collapse(self) -> str | None:
        """Return why the features have collapsed, or None; by thresholds of the catalogue that every floor passes."""
        figures = {
            name: catalogue.load(catalogue.resolve(name)).predict(self.task(name)).metrics[name]
            for name in catalogue.COLLAPSED
        }
        for name, threshold in catalogue.COLLAPSED.items():
            if figures[name] < threshold:
                return f"{name} {figures[name]:.3g} is below {threshold:g}"
        return None

    def task(self, purpose: str) -> Task:
        """Return the task for one protocol; its generators depend on the run's seed and the protocol."""
        data = self.dataset
        has_network = any(True for _ in self.encoder.parameters())
        train_features, test_features = self.features
        return Task(
            train_images=data.train_images,
            train_labels=data.train_labels,
            train_features=train_features,
            test_images=data.test_images,
            test_features=test_features,
            unlabelled_images=data.unlabelled_images,
            classes=data.traits.classes,
            fit=data.fit,
            val=data.val,
            label_set=self._label_set,
            encoder=self._copy if has_network else None,
            scratch_encoder=self._scratch if has_network else None,
            prepare=self._prepare,
            augment=lambda images, kind, generator: augment(images, kind, generator, data.traits),
            generator=lambda part: seeds.generator(self.seed, purpose, part, device=self.device),
            device=self.device,
            watch=data.test_labels.development,
        )

    @cached_property
    def features(self) -> tuple[Float[Tensor, "train dim"], Float[Tensor, "test dim"]]:
        """Features of train and test, extracted once for all protocols."""
        data = self.dataset
        total = len(data.train_images) + len(data.test_images)
        train = extract(self.encoder, data.train_images, self._prepare, lambda n: self.on_images(n, total))
        done = len(data.train_images)
        test = extract(self.encoder, data.test_images, self._prepare, lambda n: self.on_images(done + n, total))
        return train, test

    def _prepare(self, images: Images) -> Float[Tensor, "batch channels size size"]:
        self.go_on()
        return prepare(images, self.encoder.input, self.device)

    def _copy(self) -> nn.Module:
        return fresh_copy(self.encoder)

    def _scratch(self, generator: torch.Generator) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator, device=generator.device)))
            if isinstance(self.encoder, OwnEncoder):
                return self.encoder.from_random_start().to(self.device)
            scratch = self.encoder.untrained(build(self.backbone, self.dataset.traits))
        return scratch.to(self.device).to(memory_format=torch.channels_last)

    def _label_set(self, labels: str, draw: int) -> Int[Tensor, " labelled"]:
        return label_set(self.dataset.train_labels, labels, draw, self.dataset.class_names)

    def _sets(self, entry: catalogue.Entry) -> list[Int[Tensor, " labelled"]]:
        sets = catalogue.label_sets_of(entry, self.dataset.traits.classes)
        return [self._label_set(sets[0], draw) for draw in range(sets[1])] if sets else []

    def _twin(self, entry: catalogue.Entry, beside: Sequence[str]) -> str | None:
        """Return a protocol that differs in its labels alone and got the very same label sets, or None."""
        own = self._sets(entry)
        for other in (catalogue.resolve(name) for name in beside if name != entry.id) if own else ():
            theirs = self._sets(other) if _apart_from_labels(other) == _apart_from_labels(entry) else []
            if len(theirs) >= len(own) and all(torch.equal(a, b) for a, b in zip(own, theirs, strict=False)):
                return other.id
        return None


def _apart_from_labels(entry: catalogue.Entry) -> tuple[str, dict[str, object]]:
    return entry.module, {name: value for name, value in entry.constants.items() if name not in ("labels", "draws")}
