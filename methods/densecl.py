"""DenseCL: MoCo on whole images and on positions of the feature map, matched to the most similar in the other view.

Recipe: the authors' on ImageNet (https://github.com/WXinlong/DenseCL, configs/selfsup/densecl). SGD with learning rate
0.03 at batch size 256 and weight decay 1e-4; both projectors have 2048 hidden units and 128 outputs on 2048 features;
temperature 0.2; two queues of 65536 keys; both losses have weight one half. Queries come from one view only. Positions
are matched on the backbone's feature maps, and the dense queue holds one pooled key per image.

Deviations: the teacher's momentum is 0.99 (theirs: 0.999). Queues hold at most a quarter of the training images.
Projectors keep their ratio to the backbone (hidden layers as wide as its features). Images of up to 32 pixels are not
blurred. The warm-up is a tenth of the training, because the training is short. Biases and norms have no weight decay.
Batches are not shuffled for the keys' batch norm, which uses the whole batch. On a transformer, AdamW as in
``simclr``; the feature map consists of the patch tokens.

Why a faster teacher: after 300 steps with 0.999, 74 % of its weights are still the initial ones. On the development
task of digits (60 epochs, resnet9_slim, seed 0), accuracy in % with kNN / with one label per class and a frozen
encoder: untrained 93.1 / 47.2; momentum 0.999 95.9 / 62.6, 0.996 95.9 / 65.7, 0.99 (this recipe) 96.6 / 69.3. Nothing
was measured on FashionMNIST.
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
from methods.ranges import Count, Fraction, Multiple, Positive, PositiveFraction
from methods.space import DECAY, RATE, TEMPERATURE, Between, Space
from methods.traits import Traits

LocalFeatures = Float[Tensor, "batch positions dim"]


@dataclass(frozen=True)
class DenseCLSettings:
    """What is particular to DenseCL.

    Attributes:
        temperature: Temperature of both softmaxes over similarities.
        queue: Largest number of keys in a queue.
        momentum: The teacher's momentum.
        dense: Weight of the loss over positions; the loss over images has 1 minus this weight.
        hidden: Hidden units of both projectors, in multiples of the backbone's features.
        dim: Length of an embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    temperature: Positive = 0.2
    queue: Count = 65536
    momentum: Fraction = 0.99
    dense: Fraction = 0.5
    hidden: Multiple = 1
    dim: Count = 128
    min_scale: PositiveFraction = 0.2


class DenseCL(Method):
    """A student with one projector for images and one for positions, a teacher, and one queue per projector."""

    title: ClassVar[str] = "DenseCL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2011.09157"
    family: ClassVar[Family] = "contrastive"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="sgd", rate=0.03, weight_decay=1e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "temperature": TEMPERATURE,
        "dense": Between(0.1, 0.9),
    }
    Settings: ClassVar[type[Any]] = DenseCLSettings

    def __init__(self, backbone: Backbone | None, settings: DenseCLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        if self.backbone.kind == "mlp":
            raise ValueError(
                "DenseCL needs a feature map, which a multilayer perceptron does not have: use another backbone."
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
        """Return the weighted loss over images and positions, with queries of the first view and keys of the second."""
        local, query, dense_queries = _embed(self._student(), batch.views[0])
        with torch.no_grad():
            key_local, key, dense_keys = _embed(self.teacher, batch.views[1])
        image = in_float32(self.criterion, query, key)
        dense = in_float32(self._dense_loss, local.detach(), key_local, dense_queries, dense_keys)
        self.criterion.memory_bank.put(key)
        self.dense_criterion.memory_bank.put(dense_keys.float().mean(dim=1))
        weight = self.settings.dense
        return Loss((1.0 - weight) * image + weight * dense, {"image": image, "dense": dense})

    def after_step(self, progress: float) -> None:
        """Update the queues and the teacher."""
        self.criterion.memory_bank.update()
        self.dense_criterion.memory_bank.update()
        follow(self._student(), self.teacher, self.settings.momentum)

    def _student(self) -> nn.ModuleList:
        return nn.ModuleList([self.backbone, self.projection, self.dense_projection])

    def _dense_loss(
        self, local: LocalFeatures, key_local: LocalFeatures, queries: LocalFeatures, keys: LocalFeatures
    ) -> Tensor:
        positives = select_most_similar(local, key_local, keys)
        loss: Tensor = self.dense_criterion(queries.flatten(0, 1), positives.flatten(0, 1))
        return loss


def _embed(
    network: nn.ModuleList, images: Float[Tensor, "batch channels size size"]
) -> tuple[LocalFeatures, Float[Tensor, "batch dim"], LocalFeatures]:
    """Return the backbone's features per position, the embedding of the image, the embeddings of the positions."""
    backbone, projection, dense_projection = network
    assert isinstance(backbone, Backbone)
    feature_map = backbone.feature_map(images)
    assert feature_map is not None
    local = feature_map.flatten(2).transpose(1, 2)
    # The mean over positions equals the backbone's features and saves a second forward pass.
    return local, projection(local.mean(dim=1)), dense_projection(local)
