"""Augmentations that protocols use; they are the same for every method and map uint8 images to uint8 images."""

import functools

import torch
from jaxtyping import UInt8
from lightly.transforms.simclr_transform import SimCLRTransform
from torch import Tensor
from torchvision.transforms import v2

from bench.views.compile import Views, compile_views
from bench.views.crop import cut_out
from methods.traits import Traits
from protocols.base import Augmentation

Images = UInt8[Tensor, "batch channels height width"]


def augment(images: Images, kind: Augmentation, generator: torch.Generator, traits: Traits) -> list[Images]:
    """Return the views of one kind, on the device of the images (``Task.augment``).

    Args:
        images: uint8 images of ``traits.size`` pixels.
        kind: ``shift``: one view, shifted by up to an eighth of the side in each direction, with the edge pixels repeated;
            flipped at random if ``traits`` allows it. ``crop``: one view, a random resized crop of 8 to 100 % of the area,
            with the same flip. ``views``: two views of SimCLR's augmentation; hue, saturation and greyscale are left out for
            images with one channel, blur is left out up to 32 pixels.
        generator: A generator on the device of the images.
        traits: The data set's traits.
    """
    if kind == "shift":
        return [shift(images, generator, traits.horizontal_flip)]
    views = _program(traits.size, traits.channels, traits.horizontal_flip, kind, images.device)
    return [view.mul_(255).round_().to(torch.uint8) for view in views.unnormalised(images, generator)]


def shift(images: Images, generator: torch.Generator, mirror: bool) -> Images:
    """Shift images by up to an eighth of their side in each direction; with ``mirror``, also flip half of them.

    Source: the weak augmentation of FixMatch (Sohn et al. 2020, section 2.3), with the edge pixels repeated.
    """
    height, width = images.shape[2:]
    uniforms = torch.rand(len(images), 3, generator=generator, device=images.device)
    top = _offsets(uniforms[:, 0], height // 8)
    left = _offsets(uniforms[:, 1], width // 8)
    moved = cut_out(images, top, left, (height, width), extend=True)
    return torch.where((uniforms[:, 2] < 0.5)[:, None, None, None], moved.flip(3), moved) if mirror else moved


def _offsets(uniform: Tensor, largest: int) -> Tensor:
    return (uniform * (2 * largest + 1)).long() - largest


@functools.lru_cache(maxsize=16)
def _program(size: int, channels: int, may_mirror: bool, kind: Augmentation, device: torch.device) -> Views:
    mirror = 0.5 if may_mirror else 0.0
    colour = channels == 3
    if kind == "crop":
        crop = [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(mirror)]
        pipeline = v2.Compose([*crop, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    else:
        pipeline = SimCLRTransform(
            size,
            hf_prob=mirror,
            cj_sat=0.8 if colour else 0.0,
            cj_hue=0.2 if colour else 0.0,
            random_gray_scale=0.2 if colour else 0.0,
            gaussian_blur=0.5 if size > 32 else 0.0,
            normalize=None,
        )
    return compile_views(pipeline, size=size, channels=channels, device=device)
