"""A picture of a data set: images of each class, and the views that the methods make of them."""

import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from bench.data.dataset import Dataset
from bench.printable import printable
from bench.registry.methods import load_method, method_names
from bench.views import compile_views

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 12
"""Images per row."""
MOST_CLASSES = 20
VIEWED = 2
"""Images whose views are shown for each pipeline."""
_LABEL = 26


@dataclass(frozen=True)
class Strip:
    """One row of the picture: what it shows, and images C×H×W in [0, 1]."""

    title: str
    images: Sequence[Tensor]


def contact_sheet(dataset: Dataset) -> "Figure":
    """Return a figure of training images per class, unlabelled images, and the views of every distinct pipeline of the methods.

    No test image is shown. The views are those that training draws, before normalisation.
    """
    strips = [*_classes(dataset), *_views(dataset)]
    figure, grid = plt.subplots(
        len(strips),
        ACROSS,
        figsize=(0.85 * ACROSS + 2.6, 0.92 * len(strips) + 0.8),
        layout="constrained",
        squeeze=False,
    )
    for axes, strip in zip(grid, strips, strict=True):
        for at, axis in enumerate(axes):
            _draw(axis, strip.images[at] if at < len(strip.images) else None)
        axes[0].set_ylabel(strip.title, rotation=0, ha="right", va="center", fontsize=8)
    traits = dataset.traits
    figure.suptitle(
        printable(
            f"{dataset.name}: {traits.size}×{traits.size} pixels, {'colour' if traits.channels == 3 else 'grey'}"
        ),
        fontsize=11,
    )
    return figure


def _classes(dataset: Dataset) -> list[Strip]:
    strips = []
    counts = torch.bincount(dataset.train_labels, minlength=len(dataset.class_names)).tolist()
    for label, name in enumerate(dataset.class_names[:MOST_CLASSES]):
        positions = (dataset.train_labels == label).nonzero().flatten()[:ACROSS]
        shown = printable(name, _LABEL)
        strips.append(
            Strip(f"{shown}\n{counts[label]:,} in train", list(dataset.train_images[positions].float() / 255))
        )
    if dataset.unlabelled_images is not None:
        count = len(dataset.unlabelled_images)
        images = dataset.unlabelled_images[torch.arange(min(ACROSS, count))]
        strips.append(Strip(f"unlabelled\n{count:,}", list(images.float() / 255)))
    return strips


def _views(dataset: Dataset) -> list[Strip]:
    """Return two images, each followed by its views, once for each group of methods with equal views; many views leave room for one."""
    traits = dataset.traits
    images = dataset.train_images[dataset.fit[:VIEWED]]
    groups: dict[str, tuple[list[str], list[list[Tensor]]]] = {}
    for name in method_names():
        method = load_method(name)
        if not method.needs.training:
            continue
        pipeline = method.views(method.Settings(), traits)
        views = compile_views(pipeline, size=traits.size, channels=traits.channels, device="cpu", workers=0)
        drawn = [
            view
            for view in views.unnormalised(images, torch.Generator().manual_seed(0))
            if view.ndim >= 4 and view.shape[-3] == traits.channels
        ]
        content = hashlib.blake2b(b"".join(view.contiguous().numpy().tobytes() for view in drawn)).hexdigest()
        shown = [[images[at].float() / 255, *_separate(drawn, at)] for at in range(len(images))]
        groups.setdefault(content, ([], shown))[0].append(name)
    return [
        Strip(
            textwrap.fill(", ".join(names), _LABEL, max_lines=4, placeholder=" …"),
            [*chain(*shown)] if sum(map(len, shown)) <= ACROSS else shown[0],
        )
        for names, shown in groups.values()
    ]


def _separate(views: Sequence[Tensor], at: int) -> list[Tensor]:
    """Return the views of one image, with the pieces of a jigsaw one by one."""
    return [piece for view in views for piece in view[at].reshape(-1, *view.shape[-3:])]


def _draw(axis: "Axes", image: Tensor | None) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)
    if image is not None:
        pixels = image.clamp(0, 1).permute(1, 2, 0).numpy()
        axis.imshow(
            pixels.squeeze(2) if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
