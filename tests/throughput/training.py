"""The same training in two ways: the harness's loop, and a bare step on views that are computed beforehand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from bench import seeds
from bench.data.dataset import Dataset
from bench.data.spec import DatasetSpec
from bench.device import choose_precision, cores
from bench.execution.encoder import build_method, pretraining_set
from bench.planning.request import Request
from bench.planning.resolve import resolve
from bench.planning.settings import recipe_of
from bench.records.record import Identity
from bench.registry.methods import load_method
from bench.training import optimizers
from bench.training.pretrain import PretrainingSet, Training, pretrain
from bench.views import compile_views
from methods.base import Batch, Method

EPOCHS = 5


def identity_of(name: str, dataset: str, folder: Path | None, backbone: str | None, batch: int) -> Identity:
    """Return the identity of a run of ``EPOCHS`` epochs."""
    request = Request(
        (name,),
        DatasetSpec(dataset, folder),
        budget=f"{EPOCHS}ep",
        backbone=backbone,
        batch_size=batch,
        protocols=("knn",),
    )
    return resolve(request).wanted[0].identity


class Case:
    """A method ready to be trained on a data set.

    Attributes:
        method: The method, on its device.
        data: The pretraining images.
        training: How the method is trained.
    """

    def __init__(self, identity: Identity, dataset: Dataset, device: torch.device) -> None:
        seeds.seed_everything(0, "init")
        self.method: Method = build_method(identity, dataset).to(device)
        assert self.method.backbone is not None
        traits = dataset.traits
        views = compile_views(
            type(self.method).views(self.method.settings, traits),
            size=traits.size,
            channels=traits.channels,
            mean=traits.mean,
            std=traits.std,
            device=device,
        )
        self.engine = views.engine
        self.close = views.close
        self.data: PretrainingSet = pretraining_set(type(self.method), dataset, device)
        self.training = Training(
            identity,
            recipe_of(load_method(identity.method), self.method.backbone.kind, identity.settings),
            views,
            device,
            choose_precision(device, self.method.backbone.kind),
            cores(),
        )


def harness_loop(case: Case) -> Callable[[Callable[[], None]], object]:
    """Return the harness's training loop; it takes a function to call after every step."""

    def loop(after_step: Callable[[], None]) -> object:
        def keep_going() -> bool:
            after_step()
            return True

        return pretrain(case.method, case.data, replace(case.training, keep_going=keep_going))

    return loop


def bare_step(case: Case) -> Callable[[], None]:
    """Return a function that runs one step with the same model, loss, optimiser and precision, always on the same views."""
    training, method = case.training, case.method
    fabric = Fabric(
        accelerator="cuda" if training.device.type == "cuda" else "cpu", devices=1, precision=training.precision
    )
    method.to(memory_format=torch.channels_last).train()
    batch = first_batch(case)
    optimizer = optimizers.build(method.parameter_groups(), training.recipe, training.identity.batch, training.device)
    model, stepper = fabric.setup(method, optimizer)
    progress = 0.5
    optimizers.schedule(optimizer, training.recipe, 50, 100)

    def step() -> None:
        loss = model(batch, progress)
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss.total)
        if training.recipe.clip is not None:
            fabric.clip_gradients(model, stepper, max_norm=training.recipe.clip)
        method.before_step(progress)
        stepper.step()
        method.after_step(progress)

    return step


def first_batch(case: Case) -> Batch:
    """Return one batch of the training images."""
    training, data, method = case.training, case.data, case.method
    count = training.identity.batch
    images = data.images[:count].to(training.device)
    views = training.views(images, seeds.generator(0, "views", device=training.device))
    collate = method.collate(method.settings, method.traits)
    return Batch(
        views=[v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v for v in views],
        masks=collate(count, seeds.generator(0, "masks")) if collate else None,
        indices=torch.arange(count, device=training.device),
        labels=None if data.labels is None else data.labels[:count].to(training.device),
        generator=seeds.generator(0, "batch", device=training.device),
    )
