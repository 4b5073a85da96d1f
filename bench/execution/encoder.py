"""A run's encoder: stored, or trained now and stored."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from bench import seeds
from bench.backbones import build
from bench.data.dataset import Dataset
from bench.data.share import seen, seen_traits
from bench.device import choose_precision, device_name, set_threads
from bench.evaluation.features import calibrate_batch_norm
from bench.execution.snapshots import Snapshots
from bench.planning.settings import recipe_of, settings_of
from bench.records.checkpoints import save_encoder, stored_encoder
from bench.records.record import NO_BUDGET, Identity
from bench.registry.methods import load_method
from bench.training.pretrain import Finished, PretrainingSet, Trained, Training, pretrain
from bench.views import compile_views
from bench.views.prepare import prepare
from methods.base import Encoder, Method


@dataclass(frozen=True)
class Encoded:
    """An encoder in eval mode on its device, and how it came about.

    Attributes:
        encoder: What is evaluated.
        trained: The story of its training; None for a method without.
        device: Where it was trained, by name.
        precision: Of the training.
        threads: Of the training.
        views_per_image: Views that the method makes of an image; None without training.
    """

    encoder: Encoder
    trained: Trained | None
    device: str
    precision: str
    threads: int
    views_per_image: int | None


@dataclass(frozen=True)
class Sitting:
    """Where and how a run is done now.

    Attributes:
        device: Where it computes.
        threads: Of this process for the run.
        checkpoint: Where the training's state is kept.
        encoder: Where the encoder is kept.
        checkpoint_seconds: Shortest time between two checkpoints.
        keep_going: False asks the run to stop.
        on_step: As ``Training.on_step``.
        say: Told one line that the user should read.
        last: Where the training's last state is kept, or None.
        extends: The finished training that this one goes on from, or None.
        snapshots: Where snapshots are kept, and how many epochs lie between two; None for none.
        log: Told what the run's log should hold.
    """

    device: torch.device
    threads: int
    checkpoint: Path
    encoder: Path
    checkpoint_seconds: float
    keep_going: Callable[[], bool]
    on_step: Callable[[int, int, float | None, float], None]
    say: Callable[[str], None]
    last: Path | None = None
    extends: Finished | None = None
    snapshots: tuple[Path, int] | None = None
    log: Callable[[str], None] = lambda _: None


def encode(identity: Identity, dataset: Dataset, sitting: Sitting, *, anew: bool = False) -> Encoded:
    """Return the run's encoder; it is trained only where none of this identity is stored, or ``anew``.

    Raises:
        Diverged, Stopped: As ``pretrain``.
        SslbenchError: A file cannot be read or written.
    """
    set_threads(sitting.threads)
    seeds.seed_everything(identity.seed, "init")
    method = build_method(identity, dataset).to(sitting.device)
    if anew:
        sitting.checkpoint.unlink(missing_ok=True)
    else:
        stored = stored_encoder(sitting.encoder, identity)
        if stored is not None:
            tensors, story = stored
            encoder = method.encoder().to(sitting.device).eval()
            encoder.load_state_dict(tensors)
            _note_stored(identity, sitting, trained=bool(story["trained"]))
            trained = Trained(**story.pop("trained")) if story["trained"] else story.pop("trained")
            return Encoded(encoder, trained, **story)

    trained, views = None, None
    precision = "32-true"
    if method.needs.training:
        assert method.backbone is not None
        precision = choose_precision(sitting.device, method.backbone.kind)
        trained, views = _train(method, identity, dataset, sitting)
    encoder = method.encoder().to(sitting.device).eval()
    if method.needs.statistics:
        calibrate_batch_norm(encoder, dataset.train_images, lambda x: prepare(x, encoder.input, sitting.device))
    threads = trained.threads if trained else sitting.threads
    device = device_name(sitting.device)
    encoded = Encoded(encoder, trained, device, precision, threads, views)
    story = {
        "trained": asdict(trained) if trained else None,
        "device": device,
        "precision": precision,
        "threads": threads,
        "views_per_image": views,
    }
    if identity.budget != NO_BUDGET:
        save_encoder(sitting.encoder, identity, encoder, story)
    return encoded


def _note_stored(identity: Identity, sitting: Sitting, *, trained: bool) -> None:
    sitting.log("encoder stored: nothing to train")
    if trained and sitting.snapshots is not None and not sitting.snapshots[0].exists():
        sitting.say(
            f"{identity.method}, seed {identity.seed}: trained already, without snapshots; --force trains it again"
        )


def build_method(identity: Identity, dataset: Dataset) -> Method:
    """Return the run's method, untrained, drawn from torch's global generator."""
    method = load_method(identity.method)
    backbone = None if method.needs.backbone in ("none", "own") else build(identity.backbone, dataset.traits)
    traits = seen_traits(dataset, identity.settings.get("share"), labels=method.needs.labels)
    return method(backbone, settings_of(method, identity.settings), traits)


def pretraining_set(
    method: type[Method], dataset: Dataset, device: torch.device, share: float | None = None
) -> PretrainingSet:
    """Return what a method is trained on: all images without labels, or ``train`` without ``val`` with them; or a share."""
    positions = seen(dataset, share, labels=method.needs.labels)
    train = len(dataset.train_labels)
    inside = positions[positions < train]
    images = dataset.train_images if len(inside) == train else dataset.train_images[inside]
    if len(inside) < len(positions):
        assert dataset.unlabelled_images is not None
        images = torch.cat([images, dataset.unlabelled_images[positions[len(inside) :] - train]])
    return _placed(images, dataset.train_labels[inside] if method.needs.labels else None, device)


def _placed(images: torch.Tensor, labels: torch.Tensor | None, device: torch.device) -> PretrainingSet:
    """Put the images on the GPU where they take less than half of what is free, and the labels in any case."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if images.numel() < free // 2:
            images = images.to(device)
    return PretrainingSet(images, None if labels is None else labels.to(device))


def _train(method: Method, identity: Identity, dataset: Dataset, sitting: Sitting) -> tuple[Trained, int]:
    traits = dataset.traits
    views = compile_views(
        type(method).views(method.settings, traits),
        size=traits.size,
        channels=traits.channels,
        mean=traits.mean,
        std=traits.std,
        device=sitting.device,
        per_sample=identity.settings.get("views") == "per-sample",
    )
    if views.reason is not None:
        sitting.say(f"{identity.method}: views run image by image in workers ({views.reason})")
    training = Training(
        identity=identity,
        recipe=recipe_of(type(method), method.backbone.kind, identity.settings),
        views=views,
        device=sitting.device,
        precision=choose_precision(sitting.device, method.backbone.kind),
        threads=sitting.threads,
        checkpoint=sitting.checkpoint,
        checkpoint_seconds=sitting.checkpoint_seconds,
        last=sitting.last,
        extends=sitting.extends,
        snapshots=Snapshots(*sitting.snapshots, identity, dataset, sitting.device) if sitting.snapshots else None,
        log=sitting.log,
        keep_going=sitting.keep_going,
        on_step=sitting.on_step,
    )
    data = pretraining_set(type(method), dataset, sitting.device, identity.settings.get("share"))
    return pretrain(method, data, training), views.count
