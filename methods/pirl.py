"""PIRL: the embeddings of an image and of its shuffled tiles both match the image's entry in a memory bank.

Recipe: the authors' on ImageNet (https://github.com/facebookresearch/vissl,
configs/config/pretrain/pirl/pirl_jigsaw_4node_resnet50.yaml). SGD with learning rate 0.03 at batch size 256 and weight
decay 1e-4, except for biases and norms. Linear projectors to 128 dimensions; the embeddings of the tiles are
concatenated and projected to 128 dimensions again. The temperature is 0.07. There are 32000 negatives. The memory bank
has momentum 0.5. The two losses have equal weights. The image is a crop of at least 0.08 of the area; the crop that is
cut into tiles has at least 0.6. Each tile is jittered and mirrored independently.

Deviations: there are 3×3 tiles if the image has at least 24 pixels per side, otherwise 2×2. A tile is its whole cell,
because cells are small (lightly's jigsaw by itself neither resizes tiles nor leaves gaps between them). The negatives
are at most a quarter of the images, the same for the whole batch, and never the image itself. The first time an image
is seen, its own embedding is used as its entry, because the training is short. There is no ``ImgPilRandomPhotometric``.
The warm-up is a tenth of the training.

On the development task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class
and a frozen encoder: 96.6 / 66.5; untrained network 93.1 / 47.2.

Tiles and images pass through the network separately, because they differ in size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from lightly.transforms.jigsaw import Jigsaw
from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from methods.base import Backbone, Batch, Family, Loss, Method, Needs, Recipe
from methods.parts.memory import Memory
from methods.parts.precision import in_float32
from methods.ranges import Count, Fraction, Positive, PositiveFraction
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

SMALLEST_WITH_NINE_TILES = 24
"""Smallest image side, in pixels, for 3×3 tiles: a tile then has at least 8 pixels per side."""


@dataclass(frozen=True)
class PIRLSettings:
    """What is particular to PIRL.

    Attributes:
        temperature: Temperature of the softmax over similarities.
        negatives: Largest number of entries of the memory bank that a batch is compared with.
        momentum: Momentum of the entries of the memory bank.
        jigsaw: Weight of the jigsaw's loss; the image's loss has one minus this.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jigsaw_scale: Smallest crop that is cut into tiles, as a fraction of the image's area.
        jitter: Strength of the colour jitter.
    """

    temperature: Positive = 0.07
    negatives: Count = 32000
    momentum: Fraction = 0.5
    jigsaw: Fraction = 0.5
    dim: Count = 128
    min_scale: PositiveFraction = 0.08
    jigsaw_scale: PositiveFraction = 0.6
    jitter: Fraction = 0.4


class PIRL(Method):
    """The backbone, projectors for images, for tiles and for all tiles of a jigsaw, and a memory bank."""

    title: ClassVar[str] = "PIRL"
    paper: ClassVar[str] = "https://arxiv.org/abs/1912.01991"
    family: ClassVar[Family] = "contrastive"
    needs: ClassVar[Needs] = Needs(backbone="convolutional")
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="sgd", rate=0.03, weight_decay=1e-4, warmup=0.1)
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": Between(0.03, 0.5, log=True),
        "jigsaw": Between(0.1, 0.9),
    }
    Settings: ClassVar[type[Any]] = PIRLSettings

    def __init__(self, backbone: Backbone | None, settings: PIRLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.projection = nn.Linear(self.backbone.dim, settings.dim)
        self.tile_projection = nn.Linear(self.backbone.dim, settings.dim)
        self.jigsaw_projection = nn.Linear(tiles_per_side(traits.size) ** 2 * settings.dim, settings.dim)
        self.memory = Memory(traits.images, settings.dim, settings.momentum)
        self.negatives = max(1, min(settings.negatives, traits.images // 4))

    @classmethod
    def views(cls, settings: PIRLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return a crop of the image and the shuffled tiles of another crop."""
        colour = traits.channels == 3
        strength = settings.jitter
        jitter = (
            T.ColorJitter(strength, strength, strength, strength / 2) if colour else T.ColorJitter(strength, strength)
        )
        augmentations = [T.RandomHorizontalFlip(0.5 if traits.horizontal_flip else 0.0), jitter]
        if colour:
            augmentations.append(T.RandomGrayscale(0.2))
        side = tiles_per_side(traits.size)
        # lightly's jigsaw accepts only three channels: grey images are expanded, and their tiles reduced to one.
        tile = T.Compose([*augmentations, T.ToTensor()] if colour else [T.Grayscale(1), *augmentations, T.ToTensor()])
        jigsaw = Jigsaw(side, traits.size, traits.size // side, tile)
        return MultiViewTransform(
            [
                T.Compose([T.RandomResizedCrop(traits.size, (settings.min_scale, 1.0)), *augmentations, T.ToTensor()]),
                T.Compose(
                    [
                        T.RandomResizedCrop(traits.size, (settings.jigsaw_scale, 1.0)),
                        *([] if colour else [T.Grayscale(3)]),
                        jigsaw,
                    ]
                ),
            ]
        )

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the weighted sum of the losses of jigsaw and image, and both as parts."""
        images, jigsaws = batch.views
        tiles = self.tile_projection(self.backbone(jigsaws.flatten(0, 1)))
        jigsaw = self.jigsaw_projection(tiles.view(len(jigsaws), -1))
        image = self.projection(self.backbone(images))
        embeddings = normalize(image.detach().float(), dim=1)
        positives = self.memory.recall(batch.indices, embeddings)
        negatives, others = self.memory.sample(batch.indices, self.negatives, batch.generator)

        def contrast(queries: Tensor) -> Tensor:
            return memory_loss(queries, positives, negatives, others, self.settings.temperature)

        jigsaw_loss, image_loss = in_float32(contrast, jigsaw), in_float32(contrast, image)
        self.memory.update(batch.indices, embeddings)
        weight = self.settings.jigsaw
        total = weight * jigsaw_loss + (1.0 - weight) * image_loss
        return Loss(total, {"jigsaw": jigsaw_loss, "image": image_loss})


def tiles_per_side(size: int) -> int:
    """Return the number of tiles per side of an image of ``size`` pixels."""
    return 3 if size >= SMALLEST_WITH_NINE_TILES else 2


def memory_loss(
    queries: Float[Tensor, "batch dim"],
    positives: Float[Tensor, "batch dim"],
    negatives: Float[Tensor, "count dim"],
    others: Bool[Tensor, "batch count"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the cross-entropy of each query's positive against the negatives of other images (``others``)."""
    queries = normalize(queries, dim=1)
    positive = (queries * positives).sum(dim=1, keepdim=True)
    negative = (queries @ negatives.T).masked_fill(~others, -torch.inf)
    logits = torch.cat([positive, negative], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))
