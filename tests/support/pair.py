"""Steps of training in this process alone, or in a pair of processes that train together, with the harness's own loop."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import torch
from sklearn.datasets import load_digits
from support.in_process import options_of
from torch import Tensor
from torch.func import functional_call

from bench import seeds
from bench.backbones import build
from bench.backbones.convolutional import ConvolutionalBackbone
from bench.backbones.resnet9 import ResNet9
from bench.errors import Stopped
from bench.execution.peers import team_of
from bench.records.record import Identity
from bench.records.store import Store
from bench.registry.methods import load_method
from bench.training.context import RunContext
from bench.training.job import PretrainingSet, TrainingJob
from bench.training.pretrain import pretrain
from bench.training.team import Team
from bench.training.trial import recipe_of
from bench.views import compile_views
from methods.base import Pooling
from methods.parts.rows import divisible
from methods.traits import Traits

CPU = torch.device("cpu")
BATCH = 64
TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, BATCH, BATCH)


@dataclass(frozen=True)
class Training:
    """Which steps are done: ``epochs`` of one step each, at most ``most`` of them, from the checkpoint in ``folder`` if there is one."""

    method: str
    backbone: str
    folder: Path
    most: int
    epochs: int = 11
    batch: int = BATCH


@dataclass
class Steps:
    """Loss, gradients and final state of the steps that were done."""

    losses: list[float] = field(default_factory=list)
    gradients: list[dict[str, Tensor]] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Hash of the final state."""
        found = hashlib.sha256()
        for name, tensor in self.state.items():
            found.update(name.encode() + tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()


class Exact(ConvolutionalBackbone):
    """A network with ReLU that computes in float64; weights, images and features are float32.

    In float32 a value near zero changes its side when a sum is computed in another order: the gradients of one process change by more
    than 1e-3 if only its batch is permuted.
    """

    def __init__(self, network: ResNet9) -> None:
        super().__init__(network.dim)
        self.layers = network.layers

    @divisible
    def feature_map(self, images: Tensor) -> Tensor:
        """Return the last feature map."""
        return self._double(images).float()

    @divisible
    def features(self, images: Tensor, pooling: Pooling) -> Tensor:
        """Return its mean, rounded last, so that all that follows receives the same numbers in one process and in two."""
        return self._double(images).mean(dim=(2, 3)).float()

    def _double(self, images: Tensor) -> Tensor:
        tensors = {
            name: tensor.double() if tensor.is_floating_point() else tensor
            for name, tensor in (*self.layers.named_parameters(), *self.layers.named_buffers())
        }
        features: Tensor = functional_call(self.layers, tensors, (images.double(),))
        for name, buffer in self.layers.named_buffers():
            buffer.copy_(tensors[name])
        return features


@cache
def digits() -> PretrainingSet:
    found = load_digits()
    images = (torch.from_numpy(found.images)[:BATCH, None] * (255 / 16)).round().to(torch.uint8)
    return PretrainingSet(images, torch.from_numpy(found.target)[:BATCH])


def trained(training: Training, team: Team | None = None) -> Steps:
    """Train without clipping, which would hide a gradient of the wrong size."""
    cls = load_method(training.method)
    identity = Identity(
        "digits", "f", "test", training.method, 1, training.backbone, 1, 1, "smoke", training.epochs, training.batch, 0
    )
    seeds.seed_everything(0, "init")
    backbone = build(training.backbone, TRAITS)
    method = cls(Exact(backbone) if isinstance(backbone, ResNet9) else backbone, cls.Settings(), TRAITS)
    steps = Steps()
    method.register_forward_hook(lambda _, inputs, loss: steps.losses.append(loss.total.item()))
    before_step = method.before_step

    def recorded_step(progress: float) -> None:
        steps.gradients.append({name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None})
        before_step(progress)

    method.before_step = recorded_step
    views = compile_views(
        cls.views(cls.Settings(), TRAITS), size=8, channels=1, mean=TRAITS.mean, std=TRAITS.std, device=CPU, workers=0
    )
    options = options_of(training.folder)
    context = RunContext(options, Store(options.results), CPU, lambda: len(steps.gradients) < training.most, team=team)
    job = TrainingJob(identity, replace(recipe_of(method), clip=None), views, "32-true")
    data = digits() if cls.needs.labels else replace(digits(), labels=None)
    # Losses of lightly exchange their centres with whatever other processes there are.
    alone = patch.object(torch.distributed, "is_initialized", lambda: False) if team is None else nullcontext()
    with suppress(Stopped), alone:
        pretrain(method, data, job, context)
    steps.state = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    steps.buffers = {name: tensor for name, tensor in steps.state.items() if name in dict(method.named_buffers())}
    return steps


def _serve(requests, device: torch.device, join) -> None:  # type: ignore[no-untyped-def]
    team = join()
    torch.set_num_threads(1)
    while (training := requests.recv()) is not None:
        requests.send(trained(training, team).digest)


class Pair:
    """Two processes that train together, of which this is the first."""

    def __init__(self, team: Team, requests) -> None:  # type: ignore[no-untyped-def]
        self.team, self.requests = team, requests
        self.usable = True

    def trained(self, training: Training) -> Steps:
        """Train in both processes; both must end with the same state, bit for bit."""
        assert self.usable, "an earlier training failed in one of the two processes"
        self.usable = False
        self.requests.send(training)
        steps = trained(training, self.team)
        same = self.requests.recv() == steps.digest
        self.usable = True
        assert same, "the two processes have different states"
        return steps


@contextmanager
def pair() -> Iterator[Pair]:
    """Start the second process."""
    requests, other = get_context("forkserver").Pipe()
    with team_of([CPU, CPU], partial(_serve, other), lambda: True, print) as team:
        yield Pair(team, requests)
        requests.send(None)


def difference(first: dict[str, Tensor], second: dict[str, Tensor], floor: float) -> tuple[float, str]:
    """Return the largest relative distance between two tensors of the same name, and the name.

    A tensor's norm counts as at least ``floor`` times the norm of all: some gradients, such as that of a bias before a batch norm, are
    zero but for rounding.
    """
    assert first.keys() == second.keys()
    first = {name: tensor for name, tensor in first.items() if tensor.isfinite().all()}
    whole = math.sqrt(sum(float(tensor.double().norm()) ** 2 for tensor in first.values()))
    distances = {name: float((tensor.double() - second[name].double()).norm()) for name, tensor in first.items()}
    norms = {name: max(float(tensor.double().norm()), floor * whole, 1e-30) for name, tensor in first.items()}
    return max(((distances[name] / norms[name], name) for name in first), default=(0.0, ""))
