"""Views of every pipeline of the catalogue: in batches, one by one in a DataLoader on all cores (lightly's way), and by Kornia."""

from typing import Any

import pytest
import torch
from throughput.measuring import measure
from throughput.pipelines import WARM, KorniaViews, NotInKorniaError, Pipeline, named, one_by_one, traits_of
from torchvision.transforms.functional import resize

from bench.device import cores
from bench.seeds import generator
from bench.views import compile_views

SIZES = {"colour, 32 pixels": (32, 3), "grey, 28 pixels": (28, 1), "photographs, 96 pixels": (96, 3)}
CASES = [(where, name) for where, (size, channels) in SIZES.items() for name in named(size, channels) if size < 96] + [
    ("photographs, 96 pixels", name) for name in ("simclr", "byol", "dino") if name in named(96, 3)
]


def _pipeline(where: str, name: str) -> Pipeline:
    return named(*SIZES[where])[name]


def _images(photographs: torch.Tensor, where: str) -> torch.Tensor:
    size, channels = SIZES[where]
    small = photographs if size == 96 else resize(photographs, [size, size], antialias=True)
    return small[:, :channels].contiguous()


def _facts(pipeline: Pipeline) -> dict[str, Any]:
    views = len(pipeline.programs) if pipeline.programs else None
    return {"methods": list(pipeline.methods), "views": views}


@pytest.mark.parametrize(("where", "name"), CASES)
def test_batched(benchmark, where, name, photographs, device):
    pipeline, images = _pipeline(where, name), _images(photographs, where).to(device)
    if pipeline.programs is None:
        pytest.skip(f"the views of {name} have no batched form")
    traits = traits_of(*SIZES[where])
    views = compile_views(
        pipeline.transform, size=traits.size, channels=traits.channels, device=device, mean=traits.mean, std=traits.std
    )
    luck = generator(0, "views", device=device)
    measure(
        benchmark,
        f"views: {where}",
        name,
        "batched",
        lambda: views(images, luck),
        images=len(images),
        device=device,
        **_facts(pipeline),
    )


@pytest.mark.parametrize(("where", "name"), CASES)
def test_one_by_one(benchmark, where, name, photographs):
    pipeline, images = _pipeline(where, name), _images(photographs, where)
    batches = one_by_one(images, pipeline.transform, cores())

    def work():
        # The workers' batches come in bursts: a round is one from each.
        for _ in range(cores()):
            next(batches)

    measure(
        benchmark,
        f"views: {where}",
        name,
        "per sample",
        work,
        images=cores() * len(images),
        warmup=WARM,
        **_facts(pipeline),
    )


@pytest.mark.parametrize(("where", "name"), CASES)
def test_kornia(benchmark, where, name, photographs, device):
    pipeline, images = _pipeline(where, name), _images(photographs, where).to(device)
    if pipeline.programs is None:
        pytest.skip(f"the views of {name} have no batched form")
    try:
        views = KorniaViews(pipeline.programs, traits_of(*SIZES[where]), device)
    except NotInKorniaError as error:
        pytest.skip(str(error))
    measure(
        benchmark,
        f"views: {where}",
        name,
        "kornia",
        lambda: views(images),
        images=len(images),
        device=device,
        **_facts(pipeline),
    )
