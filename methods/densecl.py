"""DenseCL: MoCo over whole images and, beside it, over the places of the map, each place with its most similar one in the other view.

Recipe: the authors' on ImageNet (https://github.com/WXinlong/DenseCL, configs/selfsup/densecl): SGD, rate 0.03 at 256 images, decay 1e-4, both heads
2048 and 128 on 2048 features, temperature 0.2, two queues of 65536, teacher momentum 0.999, half the loss each; one direction; places are
matched on the backbone's maps, and the dense queue holds one pooled key an image.
Deviations: queues hold at most a quarter of the training images; heads keep their ratio to the backbone (hidden layers as wide as its features); no
blur up to 32 pixels; a warm-up of a tenth of the training, because ours is short; biases and norms do not decay. One device: batches are not
shuffled for the keys' batch norm.
Seen on the development task of digits (60 epochs, resnet9_slim, seed 0, kNN / one label a class, frozen): 95.9 / 62.6, untrained 93.1 / 47.2.
On a transformer: AdamW as in ``simclr``; the map is that of the patch tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.models.modules.heads import DenseCLProjectionHead
from lightly.models.utils import select_most_similar
from lightly.transforms.densecl_transform import DenseCLTransform
from torch import Tensor, nn

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.queue import QueueLoss, queue_length
from methods.parts.teacher import follow, teacher_of
from methods.traits import Traits

Places = Float[Tensor, "batch places dim"]


@dataclass(frozen=True)
class DenseCLSettings:
    """What is particular to DenseCL.

    Attributes:
        temperature: Of both softmaxes over similarities.
        queue: Keys of a queue, at most.
        momentum: Of the teacher.
        dense: Weight of the loss over places; that over images has the rest.
        hidden: Hidden units of both heads, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    temperature: float = 0.2
    queue: int = 65536
    momentum: float = 0.999
    dense: float = 0.5
    hidden: int = 1
    dim: int = 128
    min_scale: float = 0.2


class DenseCL(Method):
    """A student with a head for images and one for places, its teacher, a queue for each head."""

    title: ClassVar[str] = "DenseCL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2011.09157"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=1, optimizer="sgd", rate=0.03, weight_decay=1e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = DenseCLSettings

    def __init__(self, backbone: Backbone | None, settings: DenseCLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        if self.backbone.kind == "mlp":
            raise ValueError(
                "DenseCL matches places of a map, and a multilayer perceptron has none: take another backbone."
            )
        features, hidden = self.backbone.dim, settings.hidden * self.backbone.dim
        self.projection = DenseCLProjectionHead(features, hidden, settings.dim)
        self.dense_projection = DenseCLProjectionHead(features, hidden, settings.dim)
        self.teacher = teacher_of(self._student())
        length = queue_length(settings.queue, traits)
        self.criterion = QueueLoss(settings.temperature, length, settings.dim)
        self.dense_criterion = QueueLoss(settings.temperature, length, settings.dim)

    @classmethod
    def views(cls, settings: DenseCLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two equally augmented views."""
        pipeline: Callable[[Any], Any] = DenseCLTransform(**allowed(traits, settings.min_scale))
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the weighted loss over images and places of the first view, with keys of the second."""
        places, query, dense_queries = _embed(self._student(), batch.views[0])
        with torch.no_grad():
            key_places, key, dense_keys = _embed(self.teacher, batch.views[1])
        image = in_float32(self.criterion, query, key)
        dense = in_float32(self._dense_loss, places.detach(), key_places, dense_queries, dense_keys)
        self.criterion.memory_bank.put(key)
        self.dense_criterion.memory_bank.put(dense_keys.float().mean(dim=1))
        weight = self.settings.dense
        return Loss((1.0 - weight) * image + weight * dense, {"image": image, "dense": dense})

    def after_step(self, progress: float) -> None:
        """Turn the queues and move the teacher."""
        self.criterion.memory_bank.turn()
        self.dense_criterion.memory_bank.turn()
        follow(self._student(), self.teacher, self.settings.momentum)

    def _student(self) -> nn.ModuleList:
        return nn.ModuleList([self.backbone, self.projection, self.dense_projection])

    def _dense_loss(self, places: Places, key_places: Places, queries: Places, keys: Places) -> Tensor:
        positives = select_most_similar(places, key_places, keys)
        loss: Tensor = self.dense_criterion(queries.flatten(0, 1), positives.flatten(0, 1))
        return loss


def _embed(
    network: nn.ModuleList, images: Float[Tensor, "batch channels size size"]
) -> tuple[Places, Float[Tensor, "batch dim"], Places]:
    """Return the backbone's places, the embedding of the whole image, the embeddings of the places."""
    backbone, projection, dense_projection = network
    assert isinstance(backbone, Backbone)
    feature_map = backbone.feature_map(images)
    assert feature_map is not None
    places = feature_map.flatten(2).transpose(1, 2)
    # The mean over places is what a backbone with a map gives as features, and spares a second pass.
    return places, projection(places.mean(dim=1)), dense_projection(places)
