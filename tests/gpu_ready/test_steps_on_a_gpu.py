"""One step of every method on a GPU: the loss and gradients of the CPU, and no wait; skipped without a GPU."""

import warnings
from typing import Any

import pytest
import torch
from gpu_ready.fake_cuda import FakeGenerator
from gpu_ready.may_wait import MAY_WAIT
from gpu_ready.test_training_step import METHODS, PAIRS
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench import seeds
from bench.device import all_on_device, exact_float32
from bench.training import optimizers
from bench.training.trial import Trial, random_images, recipe_of
from methods.base import Method

BATCH = 64
DRAWS = {torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal, torch.bernoulli}
LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}


class DrawOnCpu(TorchFunctionMode):
    """Draws every random number on the CPU and moves it, so that all devices compute with the same numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out an operation."""
        kwargs = dict(kwargs or {})
        if func in LIKE:
            return LIKE[func](args[0].shape, dtype=args[0].dtype).to(args[0].device)
        if func in DRAWS:
            device = kwargs.pop("device", None)
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


def step(method: Method, trial: Trial, device: torch.device) -> tuple[float, Tensor]:
    """Loss and gradient of one step, on the CPU; the weights are those that the method starts with."""
    method.to(device).to(memory_format=torch.channels_last).train()
    batch = all_on_device(trial.batch(0), device)._replace(generator=FakeGenerator(device).manual_seed(0))
    seeds.seed_everything(0, "method", 0)
    with DrawOnCpu(), exact_float32():
        loss = method(batch, 0.5).total
    loss.backward()
    gradients = [p.grad.flatten().double().cpu() for p in method.parameters() if p.grad is not None]
    return loss.item(), torch.cat(gradients)


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_loss_and_gradients_equal_those_of_the_cpu_in_float32(name: str, backbone: str, accelerator: str) -> None:
    trial = Trial(METHODS[name], backbone, random_images(batch=BATCH))
    (loss, gradient), (expected, exact) = (
        step(trial.method(), trial, torch.device(device)) for device in (accelerator, "cpu")
    )
    assert loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert (gradient - exact).norm() <= 1e-2 * exact.norm()


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_a_whole_step_waits_nowhere(name: str, backbone: str, accelerator: str) -> None:
    """The backward pass too, which fake tensors cannot reach."""
    device = torch.device(accelerator)
    trial = Trial(METHODS[name], backbone, random_images(batch=BATCH))
    method = trial.method().to(device).to(memory_format=torch.channels_last).train()
    optimizer = optimizers.build(method.parameter_groups(), recipe_of(method), BATCH, device)
    batches = [all_on_device(trial.batch(number), device) for number in range(3)]
    waits: list[str] = []
    for number, batch in enumerate(batches):
        batch = batch._replace(generator=seeds.generator(0, "batch", number, device=device))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # The first step builds the libraries' handles.
            watch = device.type == "cuda" and number > 0
            if watch:
                torch.cuda.set_sync_debug_mode("warn")
            with torch.autocast(device.type, torch.bfloat16):
                loss = method(batch, 0.55)
            optimizer.zero_grad()
            loss.total.backward()
            method.before_step(0.55)
            optimizer.step()
            method.after_step(0.56)
            if watch:
                torch.cuda.set_sync_debug_mode("default")
        waits += [str(warning.message) for warning in caught if "synchroniz" in str(warning.message)]
    assert bool(loss.total.isfinite())
    assert not waits or name in MAY_WAIT, waits
