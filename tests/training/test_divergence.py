"""Every way in which a training becomes non-finite ends with Diverged and the step; wrong returns of a method are named."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from support.in_process import context_of, options_of
from torch import nn

from bench import seeds
from bench.backbones import build
from bench.errors import Diverged, SslbenchError, Stopped
from bench.records.checkpoints import load_checkpoint, save_checkpoint
from bench.records.record import Identity
from bench.records.store import Store
from bench.training.job import PretrainingSet, TrainingJob
from bench.training.pretrain import pretrain
from methods.base import Loss
from methods.simclr import SimCLR
from methods.traits import Traits

IDENTITY = Identity("digits", "f", "test", "simclr", 1, "resnet9_slim", 1, 1, "smoke", 1, 16, 0)
STEPS = 8
TRAITS = Traits(1, 8, 10, (0.3,), (0.38,), False, STEPS * 16, STEPS * 16)
DATA = PretrainingSet(torch.tensor(load_digits().images[: STEPS * 16] * 15.9375).to(torch.uint8)[:, None])


def number_of(progress):
    return round(progress * STEPS)


class Poisoned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


class Changed(SimCLR):
    """SimCLR with a place where one step can be spoilt."""

    at = 4

    def forward(self, batch, progress):
        loss = super().forward(batch, progress)
        return self.spoilt(loss) if number_of(progress) == self.at - 1 else loss

    def spoilt(self, loss):
        return loss


class GradientInf(Changed):
    def spoilt(self, loss):
        return Loss(Poisoned.apply(loss.total), loss.parts)


class GradientInfInLastStep(GradientInf):
    at = STEPS


class LossNaN(Changed):
    at = STEPS

    def spoilt(self, loss):
        return Loss(loss.total * float("nan"), loss.parts)


class PartInf(Changed):
    def forward(self, batch, progress):
        loss = super().forward(batch, progress)
        broken = number_of(progress) == 2
        return Loss(loss.total, {"spread": loss.total.detach() / (0.0 if broken else 1.0)})


class WeightsNaN(Changed):
    at = STEPS

    def after_step(self, progress):
        if number_of(progress) == self.at:
            with torch.no_grad():
                next(self.parameters()).fill_(float("nan"))


class BufferInf(Changed):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.register_buffer("queue", torch.zeros(3))
        self.register_buffer("mask", torch.full((2,), -float("inf")))

    def after_step(self, progress):
        if number_of(progress) == 3:
            self.queue += float("inf")


class Masked(Changed):
    """A buffer of -inf from the start is a mask."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.register_buffer("mask", torch.full((2,), -float("inf")))


def train(method_class, results, clip=None, stop_after=None):
    seeds.seed_everything(0, "init")
    method = method_class(build("resnet9_slim", TRAITS), method_class.Settings(), TRAITS)
    steps = []
    context = context_of(
        options_of(results),
        keep_going=lambda: stop_after is None or len(steps) < stop_after,
        on_progress=lambda progress: steps.append(progress.done),
    )

    def views(images, generator):
        clean = images.float() / 255
        return [(clean + 0.2 * torch.randn(clean.shape, generator=generator)).clamp(0, 1) for _ in range(2)]

    job = TrainingJob(IDENTITY, replace(method.recipe, clip=clip), views, "32-true")
    return pretrain(method, DATA, job, context)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize(
    ("method", "message"),
    [
        (GradientInf, "gradient's norm became (inf|nan) in step 4 of 8"),
        (GradientInfInLastStep, "gradient's norm became (inf|nan) in step 8 of 8"),
        (LossNaN, "loss became nan in step 8 of 8"),
        (PartInf, "spread became inf in step 3 of 8"),
        (WeightsNaN, r"backbone\S+ became NaN or infinite by step 8 of 8"),
        (BufferInf, "queue became NaN or infinite by step 8 of 8"),
    ],
)
def test_a_training_that_becomes_non_finite_has_diverged_with_the_step(tmp_path, method, message, clip):
    with pytest.raises(Diverged, match=message):
        train(method, tmp_path, clip)
    assert not list(tmp_path.rglob("*.pt"))


def test_a_buffer_that_is_infinite_from_the_start_is_no_divergence(tmp_path):
    assert len(train(Masked, tmp_path).curve["loss"]) == STEPS


def test_a_state_that_is_not_finite_is_not_written_when_the_user_stops(tmp_path):
    with pytest.raises(Diverged, match="by step 3 of 8"):
        train(BufferInf, tmp_path, stop_after=3)
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("part", ["method", "optimizer", "losses"])
def test_a_checkpoint_with_a_non_finite_state_is_not_resumed(tmp_path, part):
    with pytest.raises(Stopped):
        train(SimCLR, tmp_path, stop_after=4)
    path = Store(tmp_path).checkpoint_path(IDENTITY)
    state = load_checkpoint(path, IDENTITY)
    tensor = {
        "method": lambda: next(iter(state["method"].values())),
        "optimizer": lambda: next(v for v in state["optimizer"]["state"][0].values() if v.ndim > 1),
        "losses": lambda: state["losses"]["loss"],
    }[part]()
    tensor.view(-1)[-1] = float("nan")
    save_checkpoint(path, IDENTITY, {key: value for key, value in state.items() if key not in ("form", "identity")})
    with pytest.raises(Diverged, match=r"(checkpoint of step 4|in step 4) of 8|of step 4"):
        train(SimCLR, tmp_path)


def returning(result):
    class Returning(SimCLR):
        def forward(self, batch, progress):
            return result(super().forward(batch, progress))

    return Returning


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda loss: loss.total, r"forward returned a Tensor; it must return Loss\(total, parts\)"),
        (lambda loss: {"loss": loss.total}, "forward returned a dict; it must return Loss"),
        (lambda loss: None, "forward returned None"),
        (lambda loss: (loss.total, {}), "forward returned a tuple"),
        (lambda loss: Loss(loss.total.item(), {}), "Loss.total is a float; it must be a tensor"),
        (lambda loss: Loss(loss.total.detach(), {}), "Loss.total has no gradient"),
        (lambda loss: Loss(loss.total.expand(3), {}), r"Loss.total has shape \(3,\); it must be a scalar"),
        (lambda loss: Loss(loss.total.double(), {}), "Loss.total is float64; it must be float32"),
        (lambda loss: Loss(loss.total.bfloat16(), {}), "Loss.total is bfloat16; it must be float32"),
        (lambda loss: Loss(loss.total, None), "Loss.parts is None; it must be a dict"),
        (lambda loss: Loss(loss.total, {"spread": 0.5}), r"Loss.parts\['spread'\] is a float; it must be a tensor"),
        (lambda loss: Loss(loss.total, {"spread": torch.ones(2)}), r"Loss.parts\['spread'\] has shape \(2,\)"),
        (lambda loss: Loss(loss.total, {"loss": loss.total}), "part of the loss is named 'loss'"),
        (lambda loss: Loss(loss.total, {str(torch.rand(())): loss.total}), "name the same parts in every step"),
    ],
)
def test_what_forward_returns_is_checked_and_named(tmp_path, result, message):
    with pytest.raises(SslbenchError, match=message):
        train(returning(result), tmp_path)


def test_an_error_in_forward_says_which_views_it_received(tmp_path):
    class ThreeViews(SimCLR):
        def forward(self, batch, progress):
            _first, _second, _third = batch.views
            return super().forward(batch, progress)

    with pytest.raises(ValueError, match="not enough values") as caught:
        train(ThreeViews, tmp_path)
    assert caught.value.__notes__ == ["in forward; batch.views: 2 (16×1×8×8, 16×1×8×8)"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (lambda self: [], "no parameter to train"),
        (lambda self: list(self.parameters()), "must return a list of dicts"),
        (lambda self: [{"params": list(self.parameters())}] * 2, "a parameter is in two groups"),
    ],
)
def test_what_parameter_groups_returns_is_checked(tmp_path, groups, message):
    method = type("Grouped", (SimCLR,), {"parameter_groups": groups})
    with pytest.raises(SslbenchError, match=message):
        train(method, tmp_path)


def test_a_generator_of_parameters_is_a_group(tmp_path):
    class Generated(SimCLR):
        def parameter_groups(self):
            return [{"params": (p for p in nn.Module.parameters(self))}]

    assert len(train(Generated, tmp_path).curve["loss"]) == STEPS
