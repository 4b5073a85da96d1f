"""PIRL: the embedding of a jigsaw of an image, and that of the image, are those that a memory holds of the image.

Recipe: the authors' on ImageNet (https://github.com/facebookresearch/vissl, configs/config/pretrain/pirl/pirl_jigsaw_4node_resnet50.yaml): SGD, rate
0.03 at 256 images, decay 1e-4 but for biases and norms, linear heads to 128, tiles' embeddings joined and made 128 again, temperature 0.07,
32000 negatives, a memory that keeps half of itself, half the loss each; the image is a crop of 0.08 to 1 of it, the jigsaw of 0.6 to 1; tiles are
jittered and mirrored one by one.
Deviations: 3×3 tiles from 24 pixels on, 2×2 below; a tile is the whole of its cell (lightly's jigsaw neither resizes nor leaves a gap by itself), because
cells are small; negatives are at most a quarter of the images, the same for the whole batch and never the image itself; where an image is seen
for the first time its own embedding stands for its entry, because ours is a short training; no ``ImgPilRandomPhotometric``; a warm-up of a tenth of the
training.
Seen on the development task of digits (60 epochs, resnet9_slim, seed 0, kNN / one label a class, frozen): 96.6 / 66.5, untrained 93.1 / 47.2.

Tiles and images pass the network apart, because they differ in size.
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
from methods.traits import Traits

SMALLEST_WITH_NINE_TILES = 24
"""From so many pixels on a ninth of the image is a tile of at least 8 pixels."""


@dataclass(frozen=True)
class PIRLSettings:
    """What is particular to PIRL.

    Attributes:
        temperature: Of the softmax over similarities.
        negatives: Entries of the memory that a batch is compared with, at most.
        momentum: What an entry of the memory keeps of itself.
        jigsaw: Weight of the jigsaw's loss; that of the image has the rest.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
        jigsaw_scale: Smallest crop that is cut into tiles.
        jitter: Strength of the colour jitter.
    """

    temperature: float = 0.07
    negatives: int = 32000
    momentum: float = 0.5
    jigsaw: float = 0.5
    dim: int = 128
    min_scale: float = 0.08
    jigsaw_scale: float = 0.6
    jitter: float = 0.4


class PIRL(Method):
    """The backbone, a head for images, a head for tiles and one for all tiles together, a memory of images."""

    title: ClassVar[str] = "PIRL"
    paper: ClassVar[str] = "https://arxiv.org/abs/1912.01991"
    family: ClassVar[Family] = "contrastive"
    needs: ClassVar[Needs] = Needs(backbone="convolutional")
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="sgd", rate=0.03, weight_decay=1e-4, warmup=0.1)
    Settings: ClassVar[type[Any]] = PIRLSettings

    def __init__(self, backbone: Backbone | None, settings: PIRLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.projection = nn.Linear(self.backbone.dim, settings.dim)
        self.tile_projection = nn.Linear(self.backbone.dim, settings.dim)
        self.jigsaw_projection = nn.Linear(tiles_a_side(traits.size) ** 2 * settings.dim, settings.dim)
        self.memory = Memory(traits.images, settings.dim, settings.momentum)
        self.negatives = max(1, min(settings.negatives, traits.images // 4))

    @classmethod
    def views(cls, settings: PIRLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return a crop of the image, and the shuffled tiles of another."""
        colour = traits.channels == 3
        strength = settings.jitter
        jitter = (
            T.ColorJitter(strength, strength, strength, strength / 2) if colour else T.ColorJitter(strength, strength)
        )
        change = [T.RandomHorizontalFlip(0.5 if traits.horizontal_flip else 0.0), jitter]
        if colour:
            change.append(T.RandomGrayscale(0.2))
        side = tiles_a_side(traits.size)
        # lightly's jigsaw takes images of three channels alone: a grey one becomes three equal ones, a tile one again.
        tile = T.Compose([*change, T.ToTensor()] if colour else [T.Grayscale(1), *change, T.ToTensor()])
        jigsaw = Jigsaw(side, traits.size, traits.size // side, tile)
        return MultiViewTransform(
            [
                T.Compose([T.RandomResizedCrop(traits.size, (settings.min_scale, 1.0)), *change, T.ToTensor()]),
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
        """Return the weighted loss of jigsaw and image against the memory."""
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


def tiles_a_side(size: int) -> int:
    """Return how many tiles a side an image of ``size`` pixels is cut into."""
    return 3 if size >= SMALLEST_WITH_NINE_TILES else 2


def memory_loss(
    queries: Float[Tensor, "batch dim"],
    positives: Float[Tensor, "batch dim"],
    negatives: Float[Tensor, "count dim"],
    others: Bool[Tensor, "batch count"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the cross-entropy of each query's positive against those negatives that are another image's."""
    queries = normalize(queries, dim=1)
    positive = (queries * positives).sum(dim=1, keepdim=True)
    negative = (queries @ negatives.T).masked_fill(~others, -torch.inf)
    logits = torch.cat([positive, negative], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))
