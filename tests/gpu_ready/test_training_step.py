"""A training step of every method on fake CUDA tensors: no mix-up of devices, and nothing for which the host waits."""

import pytest
import torch
from gpu_ready.fake_cuda import CUDA, fake_cuda, to_fake_cuda

from bench import seeds
from bench.backbones import build, catalogue
from bench.device import all_on_device
from bench.registry.methods import load_method, method_names
from bench.training import optimizers
from bench.training.trial import recipe_of
from bench.views import compile_views
from methods.base import Batch, Loss, Method
from methods.traits import Traits

SIZE, IMAGES, BATCH = 32, 5000, 64
TRAITS = Traits(3, SIZE, 10, (0.5,) * 3, (0.25,) * 3, True, IMAGES, IMAGES)
STEPS = 10
"""The steps 0, 5 and 9 of a training of ten: progress 0, 0.5 and 0.9."""
METHODS = {name: load_method(name) for name in method_names()}
SMALLEST = {
    kind: min((entry for entry in catalogue.CATALOGUE.values() if entry.kind == kind), key=lambda entry: entry.dim).name
    for kind in ("convolutional", "transformer")
}
PAIRS = [
    (name, backbone)
    for name, method in METHODS.items()
    for kind, backbone in SMALLEST.items()
    if method.needs.training and method.needs.backbone in ("any", kind)
]


def built(name: str, backbone: str) -> Method:
    seeds.seed_everything(0, "init")
    return METHODS[name](build(backbone, TRAITS), METHODS[name].Settings(), TRAITS)


def test_views_that_are_drawn_image_by_image_wait_only_for_the_pixels() -> None:
    pipeline = METHODS["simclr"].views(METHODS["simclr"].Settings(), TRAITS)
    views = compile_views(pipeline, size=SIZE, channels=3, device=CUDA, workers=0, per_sample=True)
    with fake_cuda("views image by image"):
        for view in views(torch.zeros(4, 3, SIZE, SIZE, dtype=torch.uint8, device=CUDA), torch.Generator()):
            assert view.device == CUDA


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_a_step_waits_nowhere(name: str, backbone: str) -> None:
    method = built(name, backbone)
    cls, recipe = METHODS[name], recipe_of(method)
    views = compile_views(
        cls.views(method.settings, TRAITS), size=SIZE, channels=3, mean=TRAITS.mean, std=TRAITS.std, device=CUDA
    )
    collate = cls.collate(method.settings, TRAITS)
    with fake_cuda(name):
        to_fake_cuda(method)
        method.train()
        optimizer = optimizers.build(method.parameter_groups(), recipe, BATCH, CUDA)
        images = torch.zeros(BATCH, 3, SIZE, SIZE, dtype=torch.uint8, device=CUDA)
        indices = torch.zeros(BATCH, dtype=torch.int64, device=CUDA)
        for step in (0, STEPS // 2, STEPS - 1):
            progress = step / STEPS
            optimizers.schedule(optimizer, recipe, step, STEPS)
            batch = Batch(
                views(images, torch.Generator().manual_seed(step)),
                all_on_device(collate(BATCH, torch.Generator().manual_seed(step)), CUDA) if collate else None,
                indices,
                indices if cls.needs.labels else None,
                torch.Generator().manual_seed(step),
            )
            with torch.autocast("cuda", torch.bfloat16):
                loss: Loss = method(batch, progress)
            assert loss.total.device == CUDA
            optimizer.zero_grad(set_to_none=True)
            loss.total.backward()
            method.before_step(progress)
            optimizer.step()
            method.after_step((step + 1) / STEPS)
