"""Builds the ``Task`` of a protocol: data and functions of the training part, from which nothing leads to the test labels.

The functions are closures over exactly what they need. A method of ``Evaluation`` or a lambda that reads a ``Dataset`` would hand every
protocol the sealed labels in ``__self__`` or ``__closure__``.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from bench import seeds
from bench.backbones import build
from bench.data.dataset import Dataset
from bench.data.decode_all import grey
from bench.data.label_sets import label_set
from bench.device import room_for_images
from bench.evaluation.feature_file import stored
from bench.evaluation.features import batch_size, fresh_copy
from bench.pretrained.method import RestartableEncoder
from bench.views.evaluation import augment
from bench.views.prepare import prepare
from methods.base import Encoder
from methods.traits import Traits
from protocols.base import Augmentation, Task

Images = UInt8[Tensor, "images channels size size"]
LabelSet = Callable[[str, int], Int[Tensor, " labelled"]]
Prepare = Callable[[Images], Float[Tensor, "batch channels size size"]]
Once = Callable[[Hashable, Callable[[], Any]], Any]


@dataclass(frozen=True)
class Network:
    """The encoder as protocols get it.

    Attributes:
        encoder: The encoder, in eval mode on its device.
        backbone: Name of its backbone, for ``scratch`` protocols.
        device: The encoder's device.
    """

    encoder: Encoder
    backbone: str
    device: torch.device


def task_of(
    dataset: Dataset,
    network: Network,
    features: tuple[Float[Tensor, "train dim"], Float[Tensor, "test dim"]],
    generator: Callable[[str], torch.Generator],
    check_stop: Callable[[], None],
    once: Once = lambda key, function: function(),
    folder: Path | None = None,
) -> Task:
    """Return the task of a protocol.

    Args:
        dataset: The data set; its test labels stay behind.
        network: The encoder.
        features: Features of the train and test images.
        generator: See ``Task.generator``.
        check_stop: See ``Task.check_stop``; it must not hold the data set.
        once: See ``Task.once``.
        folder: Folder for what is too much for memory (``Task.store``); None keeps all in memory.
    """
    has_network = any(True for _ in network.encoder.parameters())
    # A copy: a slice would share its memory with labels that it does not show.
    train_labels = dataset.train_labels.clone()
    return Task(
        train_images=dataset.train_images,
        train_labels=train_labels,
        train_features=features[0],
        test_images=dataset.test_images,
        test_features=features[1],
        unlabelled_images=dataset.unlabelled_images,
        classes=dataset.traits.classes,
        fit=dataset.fit,
        val=dataset.val.clone(),
        label_set=label_sets(train_labels, dataset.class_names, check_stop),
        encoder=_copies(network.encoder, check_stop) if has_network else None,
        scratch_encoder=_scratch(network, dataset.traits, check_stop) if has_network else None,
        prepare=preparation(network, check_stop),
        augment=_augmentation(dataset.traits, check_stop),
        features_of=_features(network.encoder, preparation(network, check_stop)),
        generator=generator,
        device=network.device,
        room=room_for_images(network.device),
        store=_storage(folder),
        watch=dataset.test_labels.development,
        once=once,
        check_stop=check_stop,
    )


def label_sets(
    train_labels: Int[Tensor, " train"], class_names: Sequence[str], check_stop: Callable[[], None] = lambda: None
) -> LabelSet:
    """Return ``Task.label_set`` for these labels of ``train``."""

    def of(labels: str, draw: int) -> Int[Tensor, " labelled"]:
        check_stop()
        return label_set(train_labels, labels, draw, class_names)

    return of


def preparation(network: Network, check_stop: Callable[[], None]) -> Prepare:
    """Return ``Task.prepare`` for an encoder; colour images of another data set become grey for one that takes grey images."""
    spec, device = network.encoder.input, network.device

    def prepared(images: Images) -> Float[Tensor, "batch channels size size"]:
        check_stop()
        if images.shape[1] > spec.channels:
            images = torch.from_numpy(grey(images.cpu().numpy()))
        return prepare(images, spec, device)

    return prepared


def generators(seed: int, purpose: str, device: torch.device) -> Callable[[str], torch.Generator]:
    """Return ``Task.generator`` for one protocol of a run."""
    return lambda part: seeds.generator(seed, purpose, part, device=device)


def shared_results() -> Once:
    """Return ``Task.once`` for all protocols of a run."""
    results: dict[Hashable, Any] = {}

    def once(key: Hashable, function: Callable[[], Any]) -> Any:
        if key not in results:
            results[key] = function()
        return results[key]

    return once


def _features(encoder: Encoder, prepare: Prepare) -> Callable[[Images], Float[Tensor, "batch dim"]]:
    @torch.no_grad()
    def features(images: Images) -> Float[Tensor, "batch dim"]:
        batches = torch.split(images, batch_size(encoder.input.size))
        return torch.cat([encoder.features(prepare(batch)).float() for batch in batches])

    return features


def _storage(folder: Path | None) -> Callable[[Iterator[Tensor], int], Tensor]:
    return lambda parts, images: stored(parts, images, folder)


def _augmentation(
    traits: Traits, check_stop: Callable[[], None]
) -> Callable[[Images, Augmentation, torch.Generator], list[Images]]:
    def augmented(images: Images, kind: Augmentation, generator: torch.Generator) -> list[Images]:
        check_stop()
        return augment(images, kind, generator, traits)

    return augmented


def _copies(encoder: Encoder, check_stop: Callable[[], None]) -> Callable[[], nn.Module]:
    def copied() -> nn.Module:
        check_stop()
        return fresh_copy(encoder)

    return copied


def _scratch(
    network: Network, traits: Traits, check_stop: Callable[[], None]
) -> Callable[[torch.Generator], nn.Module]:
    def restarted(generator: torch.Generator) -> nn.Module:
        check_stop()
        encoder = network.encoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator, device=generator.device)))
            if isinstance(encoder, RestartableEncoder):
                return encoder.from_random_start().to(network.device)
            scratch = encoder.untrained(build(network.backbone, traits))
        return scratch.to(network.device).to(memory_format=torch.channels_last)

    return restarted
