"""A run's encoder: loaded if it is stored, else trained and stored."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench import seeds
from bench.backbones import build
from bench.data.dataset import Dataset
from bench.data.share import seen, seen_traits
from bench.device import (
    choose_precision,
    cores,
    device_name,
    neighbours,
    room_for_images,
    set_threads,
    threads_of_process,
)
from bench.errors import DamagedFile, SslbenchError, Stopped
from bench.evaluation.features import calibrate_batch_norm
from bench.execution.answers import AnswerFile
from bench.execution.peers import team_of
from bench.execution.snapshots import SnapshotFile
from bench.execution.watching import Watching
from bench.planning.plan import PlannedRun
from bench.planning.settings import recipe_of, settings_of
from bench.records.checkpoints import load_checkpoint, save_encoder, stored_encoder
from bench.records.record import NO_BUDGET, Identity
from bench.records.run_log import RunLog
from bench.records.store import Store
from bench.records.stored_files import set_aside
from bench.registry.methods import method_of_run
from bench.registry.plugins import load_plugin
from bench.training.context import RunContext
from bench.training.job import EpochObserver, PretrainingSet, Trained, TrainingJob
from bench.training.options import RunOptions
from bench.training.pretrain import pretrain
from bench.training.team import Team
from bench.views import compile_views
from bench.views.prepare import prepare
from methods.base import Encoder, Method
from protocols.base import Images, StoredImages
from protocols.selection import images_on_device, release, selected

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder in eval mode on its device, and how it was trained.

    Attributes:
        network: The encoder that is evaluated.
        training: Loss curve, time and speed of its training; None for a method without training.
        device: Name of the device that it was trained on.
        precision: Precision of the training.
        threads: Threads of the training.
        views_per_image: Number of views per image; None for a method without training.
    """

    network: Encoder
    training: Trained | None
    device: str
    precision: str
    threads: int
    views_per_image: int | None


def encoder_of(run: PlannedRun, dataset: Dataset, context: RunContext, log: RunLog) -> TrainedEncoder:
    """Return the run's encoder; it is trained only if none is stored for this identity.

    A stored encoder or checkpoint that is damaged is reported and renamed, and the run starts again from nothing.

    Raises:
        Diverged, Stopped: See ``pretrain``.
        SslbenchError: A file cannot be written, or the last checkpoint of the run to extend is missing or damaged.
    """
    identity, store, device = run.identity, context.store, context.torch_device
    set_threads(context.options.threads)
    seeds.seed_everything(identity.seed, "init")
    method = build_method(identity, dataset, run.origin).to(device)
    encoder_path = store.encoder_path(identity)
    stored = _undamaged(encoder_path, lambda: stored_encoder(encoder_path, identity), context, log)
    if stored is not None:
        tensors, details = stored
        network = method.encoder().to(device).eval()
        network.load_state_dict(tensors)
        _report_stored(identity, context, log, details["training"])
        training = details.pop("training")
        context.tracking.start(None)
        return TrainedEncoder(network, Trained(**training) if training else None, **details)

    training, views = None, None
    if not method.needs.training:
        context.tracking.start(None)
    precision = "32-true"
    if method.needs.training:
        assert method.backbone is not None
        precision = choose_precision(device, method.backbone.kind)
        training, views = _train(method, run, dataset, context, log)
    network = method.encoder().to(device).eval()
    if method.needs.statistics or network.lacks_statistics:
        calibrate_batch_norm(network, dataset.train_images, lambda x: _prepared(x, network, device))
    details = {
        "device": device_name(device),
        "precision": precision,
        "threads": training.threads if training else context.options.threads,
        "views_per_image": views,
    }
    if identity.budget != NO_BUDGET:
        stored_training = {"training": asdict(training) if training else None}
        save_encoder(store.encoder_path(identity), identity, network, stored_training | details)
    return TrainedEncoder(network, training, **details)


def _check_stop(context: RunContext) -> None:
    if not context.keep_going():
        raise Stopped("stopped while watching")


def _prepared(images: Images, network: Encoder, device: torch.device) -> torch.Tensor:
    release()
    return prepare(images, network.input, device)


def _undamaged(
    path: Path, load: Callable[[], Loaded], context: RunContext, log: Callable[[str], None]
) -> Loaded | None:
    """Return what ``load`` returns; if the file is damaged, report it, rename it and return None."""
    try:
        return load()
    except DamagedFile as error:
        line = f"{error}: renamed to {set_aside(path, 'damaged')}; the run starts again from nothing"
        log(line)
        context.on_message(line)
        return None


def _report_stored(identity: Identity, context: RunContext, log: RunLog, training: Mapping[str, Any] | None) -> None:
    log("encoder stored: training is skipped")
    if training is None:
        return
    options = context.options
    without = ["snapshots"] if options.snapshots and not context.store.snapshots_path(identity).exists() else []
    without += ["--watch"] if options.watch and not training.get("watched") else []
    without += (
        ["answers after every epoch"] if options.answers and not context.store.answers_path(identity).exists() else []
    )
    if without:
        context.on_message(
            f"{identity.method}, seed {identity.seed}: already trained without {' and '.join(without)}; use --force to train it again"
        )


def build_method(identity: Identity, dataset: Dataset, origin: str | None = None) -> Method:
    """Return the run's method, untrained; its weights are drawn from torch's global generator.

    Args:
        identity: The run's identity.
        dataset: The run's data set.
        origin: See ``PlannedRun``.
    """
    method = method_of_run(identity, origin)
    backbone = None if method.needs.backbone in ("none", "own") else build(identity.backbone, dataset.traits)
    traits = seen_traits(dataset, identity.settings.get("share"), labels=method.needs.labels)
    return method(backbone, settings_of(method, identity.settings), traits)


def pretraining_set(
    method: type[Method], dataset: Dataset, device: torch.device, share: float | None = None
) -> PretrainingSet:
    """Return the images for pretraining, or a share of them; a method that needs labels gets ``train`` without ``val``."""
    positions = seen(dataset, share, labels=method.needs.labels)
    train = len(dataset.train_labels)
    in_train = positions[positions < train]
    images: StoredImages = dataset.train_images
    if len(positions) != train or len(in_train) != train:
        unlabelled = dataset.unlabelled_images
        images = selected([images] if unlabelled is None else [images, unlabelled], positions)
    labels = dataset.train_labels[in_train].to(device) if method.needs.labels else None
    return PretrainingSet(images_on_device(images, device, room_for_images(device)), labels)


def _train(
    method: Method, run: PlannedRun, dataset: Dataset, context: RunContext, log: Callable[[str], None]
) -> tuple[Trained, int]:
    """Train the method; return the results of training and the number of views per image."""
    identity, traits, device = run.identity, dataset.traits, context.torch_device
    views = compile_views(
        type(method).views(method.settings, traits),
        size=traits.size,
        channels=traits.channels,
        mean=traits.mean,
        std=traits.std,
        device=device,
        workers=threads_of_process(cores(), context.options.devices),
        per_sample=identity.settings.get("views") == "per-sample",
    )
    if views.reason is not None:
        context.on_message(f"{identity.method}: views are drawn image by image in worker processes ({views.reason})")
    options, observers = context.options, list[EpochObserver]()
    if options.snapshots is not None:
        path = context.store.snapshots_path(identity)
        observers.append(SnapshotFile(path, options.snapshots, identity, dataset, device, context.on_message))
    check_stop, folder = partial(_check_stop, context), context.store.root
    if options.watch is not None:
        observers.append(Watching(options.watch, identity, dataset, device, folder, check_stop, context.on_message))
    if options.answers is not None:
        path = context.store.answers_path(identity)
        observers.append(
            AnswerFile(path, options.answers, identity, dataset, device, folder, check_stop, context.on_message)
        )
    checkpoint = context.store.checkpoint_path(identity)
    _undamaged(checkpoint, lambda: load_checkpoint(checkpoint, identity, mapped=True), context, log)
    job = TrainingJob(
        identity=identity,
        recipe=recipe_of(type(method), method.backbone.kind, identity.settings),
        views=views,
        precision=choose_precision(device, method.backbone.kind),
        extends=run.extends,
        observers=observers,
        log=log,
    )
    data = pretraining_set(type(method), dataset, device, identity.settings.get("share"))
    try:
        if context.options.devices == 1 or context.team is not None:
            return pretrain(method, data, job, context), views.count
        devices = neighbours(device, context.options.devices)
        work = partial(train_as_peer, run, context.options)
        with team_of(devices, work, context.keep_going, log) as team:
            trained = pretrain(method, data, job, replace(context, team=team))
        set_threads(context.options.threads)
        return trained, views.count
    except DamagedFile as error:
        raise SslbenchError(f"{error}; train the run that is extended again with --force") from error


def train_as_peer(run: PlannedRun, options: RunOptions, device: torch.device, join: Callable[[], Team]) -> None:
    """Train the run as one of several processes, of which another one carries it out; see ``peers.Work``."""
    for plugin in options.plugins:
        load_plugin(plugin)
    dataset, identity = options.dataset.load(), run.identity
    seeds.seed_everything(identity.seed, "init")
    method = build_method(identity, dataset, run.origin).to(device)
    context = RunContext(
        replace(options, snapshots=None, watch=None, answers=None), Store(options.results), device, team=join()
    )
    _train(method, run, dataset, context, lambda _: None)
