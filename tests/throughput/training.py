"""The same training in two ways: the harness's loop, and a bare step on views that are computed beforehand."""

import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning_fabric import Fabric
from support.in_process import options_of, wanted_runs

from bench import seeds
from bench.data.dataset import Dataset
from bench.device import all_on_device, choose_precision, cores
from bench.execution.encoder import build_method, pretraining_set
from bench.planning.request import Request
from bench.planning.settings import recipe_of
from bench.records.record import Identity
from bench.records.store import Store
from bench.registry.methods import load_method
from bench.training import optimizers
from bench.training.context import RunContext
from bench.training.job import PretrainingSet, TrainingJob
from bench.training.pretrain import pretrain
from bench.views import compile_views
from methods.base import Batch, Method

EPOCHS = 5


def identity_of(name: str, dataset: str, folder: Path | None, backbone: str | None, batch: int) -> Identity:
    """Return the identity of a run of ``EPOCHS`` epochs."""
    request = Request((name,), budget=f"{EPOCHS}ep", backbone=backbone, batch_size=batch, protocols=("knn",))
    return wanted_runs(request, options_of(Path("results"), dataset, data_root=folder))[0].identity


class Case:
    """A method ready to be trained on a data set.

    Attributes:
        method: The method, on its device.
        data: The pretraining images.
        job: How the method is trained.
        device: Where.
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
        self.device = device
        self.job = TrainingJob(
            identity,
            recipe_of(load_method(identity.method), self.method.backbone.kind, identity.settings),
            views,
            choose_precision(device, self.method.backbone.kind),
        )


def harness_loop(case: Case) -> Callable[[Callable[[], None]], object]:
    """Return the harness's training loop; it takes a function to call after every step."""

    def loop(after_step: Callable[[], None]) -> object:
        def keep_going() -> bool:
            after_step()
            return True

        with TemporaryDirectory() as folder:
            results = Path(folder)
            options = options_of(results, threads=cores(), checkpoint_seconds=math.inf)
            context = RunContext(options, Store(results), case.device, keep_going=keep_going)
            return pretrain(case.method, case.data, case.job, context)

    return loop


def bare_step(case: Case) -> Callable[[], None]:
    """Return a function that runs one step with the same model, loss, optimiser and precision, always on the same views."""
    job, method, device = case.job, case.method, case.device
    fabric = Fabric(accelerator="cuda" if device.type == "cuda" else "cpu", devices=1, precision=job.precision)
    method.to(memory_format=torch.channels_last).train()
    batch = first_batch(case)
    optimizer = optimizers.build(method.parameter_groups(), job.recipe, job.identity.batch, device)
    model, stepper = fabric.setup(method, optimizer)
    progress = 0.5
    optimizers.schedule(optimizer, job.recipe, 50, 100)

    def step() -> None:
        loss = model(batch, progress)
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss.total)
        if job.recipe.clip is not None:
            fabric.clip_gradients(model, stepper, max_norm=job.recipe.clip)
        method.before_step(progress)
        stepper.step()
        method.after_step(progress)

    return step


def first_batch(case: Case) -> Batch:
    """Return one batch of the training images."""
    job, data, method, device = case.job, case.data, case.method, case.device
    count = job.identity.batch
    images = data.images[:count].to(device)
    views = job.views(images, seeds.generator(0, "views", device=device))
    collate = method.collate(method.settings, method.traits)
    return Batch(
        views=[v.contiguous(memory_format=torch.channels_last) if v.ndim == 4 else v for v in views],
        masks=all_on_device(collate(count, seeds.generator(0, "masks")), device) if collate else None,
        indices=torch.arange(count, device=device),
        labels=None if data.labels is None else data.labels[:count].to(device),
        generator=seeds.generator(0, "batch", device=device),
    )
