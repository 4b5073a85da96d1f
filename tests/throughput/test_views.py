"""Views of the pipelines of all methods: in batches, image by image in a DataLoader on all cores (as in lightly), and by Kornia."""

from typing import Any

import pytest
import torch
from throughput.measuring import measure
from throughput.pipelines import (
    WARMUP_ROUNDS,
    KorniaViews,
    NotInKorniaError,
    Pipeline,
    one_by_one,
    pipelines_by_name,
    traits_of,
)
from torchvision.transforms.functional import resize

from bench.device import cores
from bench.seeds import generator
from bench.views import compile_views

SIZES = {"colour, 32 pixels": (32, 3), "grey, 28 pixels": (28, 1), "photographs, 96 pixels": (96, 3)}
CASES = [
    (images_name, name)
    for images_name, (size, channels) in SIZES.items()
    for name in pipelines_by_name(size, channels)
    if size < 96
] + [("photographs, 96 pixels", name) for name in ("simclr", "byol", "dino") if name in pipelines_by_name(96, 3)]


def _pipeline(images_name: str, name: str) -> Pipeline:
    return pipelines_by_name(*SIZES[images_name])[name]


def _images(photographs: torch.Tensor, images_name: str) -> torch.Tensor:
    size, channels = SIZES[images_name]
    small = photographs if size == 96 else resize(photographs, [size, size], antialias=True)
    return small[:, :channels].contiguous()


def _facts(pipeline: Pipeline) -> dict[str, Any]:
    views = len(pipeline.programs) if pipeline.programs else None
    return {"methods": list(pipeline.methods), "views": views}


@pytest.mark.parametrize(("images_name", "name"), CASES)
def test_batched(benchmark, images_name, name, photographs, device):
    pipeline, images = _pipeline(images_name, name), _images(photographs, images_name).to(device)
    if pipeline.programs is None:
        pytest.skip(f"the views of {name} have no batched form")
    traits = traits_of(*SIZES[images_name])
    views = compile_views(
        pipeline.transform, size=traits.size, channels=traits.channels, device=device, mean=traits.mean, std=traits.std
    )
    views_generator = generator(0, "views", device=device)
    measure(
        benchmark,
        f"views: {images_name}",
        name,
        "batched",
        lambda: views(images, views_generator),
        images=len(images),
        device=device,
        **_facts(pipeline),
    )


@pytest.mark.parametrize(("images_name", "name"), CASES)
def test_one_by_one(benchmark, images_name, name, photographs):
    pipeline, images = _pipeline(images_name, name), _images(photographs, images_name)
    batches = one_by_one(images, pipeline.transform, cores())

    def work():
        # Workers deliver in bursts, so a round is one batch per worker.
        for _ in range(cores()):
            next(batches)

    measure(
        benchmark,
        f"views: {images_name}",
        name,
        "per sample",
        work,
        images=cores() * len(images),
        warmup=WARMUP_ROUNDS,
        **_facts(pipeline),
    )


@pytest.mark.parametrize(("images_name", "name"), CASES)
def test_kornia(benchmark, images_name, name, photographs, device):
    pipeline, images = _pipeline(images_name, name), _images(photographs, images_name).to(device)
    if pipeline.programs is None:
        pytest.skip(f"the views of {name} have no batched form")
    try:
        views = KorniaViews(pipeline.programs, traits_of(*SIZES[images_name]), device)
    except NotInKorniaError as error:
        pytest.skip(str(error))
    measure(
        benchmark,
        f"views: {images_name}",
        name,
        "kornia",
        lambda: views(images),
        images=len(images),
        device=device,
        **_facts(pipeline),
    )
