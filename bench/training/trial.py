"""One method on one backbone and a few images: built, given batches and trained for single steps, as the harness does it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import UInt8
from torch import Tensor

from bench import seeds
from bench.backbones import build
from bench.training import optimizers
from bench.training.returned import check_groups, check_loss
from bench.views import compile_views
from methods.base import Batch, Loss, Method, Recipe
from methods.traits import Traits


@dataclass(frozen=True)
class Sample:
    """Images on which a method is tried.

    Attributes:
        traits: Traits of the data set that the images are of.
        images: uint8 images.
        labels: One label for each image.
        batch: Images per step.
    """

    traits: Traits
    images: UInt8[Tensor, "images channels size size"]
    labels: Tensor
    batch: int

    def positions(self, number: int) -> Tensor:
        """Return the positions of the images in batch ``number``."""
        return torch.arange(number * self.batch, (number + 1) * self.batch) % len(self.images)


def random_images(count: int = 192, size: int = 32, channels: int = 3, batch: int = 32) -> Sample:
    """Return random images with coarse and fine structure, always the same ones, and random labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.zeros(count, channels, size, size)
    for cells in (2, 8, size):
        noise = torch.rand(count, channels, cells, cells, generator=generator)
        pixels += torch.nn.functional.interpolate(noise, (size, size), mode="bilinear") / 3
    images = (pixels * 255).round().to(torch.uint8)
    scaled = images.double() / 255
    mean, std = (tuple(values.tolist()) for values in (scaled.mean((0, 2, 3)), scaled.std((0, 2, 3))))
    traits = Traits(channels, size, 10, mean, std, True, count, count)
    return Sample(traits, images, torch.randint(10, (count,), generator=generator), batch)


@dataclass
class Trial:
    """A method's class on one backbone and one sample.

    Attributes:
        cls: The class.
        backbone: Name of the backbone; it is not built for a method without a network.
        sample: The images.
    """

    cls: type[Method]
    backbone: str
    sample: Sample
    _batches: dict[int, Batch] = field(default_factory=dict)

    def method(self, seed: int = 0) -> Method:
        """Return the method with fresh weights."""
        seeds.seed_everything(seed, "init")
        traits = self.sample.traits
        backbone = None if self.cls.needs.backbone in ("none", "own") else build(self.backbone, traits)
        return self.cls(backbone, self.cls.Settings(), traits)

    def optimizer(self, method: Method) -> torch.optim.Optimizer:
        """Return the optimiser of the method's recipe."""
        groups = check_groups(method.parameter_groups())
        return optimizers.build(groups, recipe_of(method), self.sample.batch, torch.device("cpu"))

    @cached_property
    def views(self) -> Callable[[Tensor, torch.Generator], list[Tensor]]:
        """The method's views of uint8 images."""
        traits = self.sample.traits
        pipeline = self.cls.views(self.cls.Settings(), traits)
        return compile_views(
            pipeline,
            size=traits.size,
            channels=traits.channels,
            mean=traits.mean,
            std=traits.std,
            device=torch.device("cpu"),
            workers=0,
        )

    def batch(self, number: int) -> Batch:
        """Return a batch; its views and masks are drawn once, its generator is new in every call."""
        if number not in self._batches:
            positions = self.sample.positions(number)
            collate = self.cls.collate(self.cls.Settings(), self.sample.traits)
            self._batches[number] = Batch(
                views=self.views(self.sample.images[positions], torch.Generator().manual_seed(number)),
                masks=collate(self.sample.batch, torch.Generator().manual_seed(number)) if collate else None,
                indices=positions,
                labels=self.sample.labels[positions] if self.cls.needs.labels else None,
                generator=torch.Generator(),
            )
        return self._batches[number]._replace(generator=torch.Generator().manual_seed(number))

    def step(
        self,
        method: Method,
        optimizer: torch.optim.Optimizer,
        number: int,
        *,
        bf16: bool = False,
        progress: float = 0.5,
    ) -> Loss:
        """Carry out one training step as the harness does, and return its loss."""
        batch = self.batch(number)
        seeds.seed_everything(0, "method", number)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss: Loss = method(batch, progress)
        check_loss(loss)
        optimizer.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        method.before_step(progress)
        optimizer.step()
        method.after_step(progress)
        return loss


def recipe_of(method: Method) -> Recipe:
    """Return the recipe for the method's kind of backbone."""
    transformer = method.backbone.kind == "transformer"
    return method.transformer_recipe if transformer and method.transformer_recipe else method.recipe
