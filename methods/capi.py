"""CAPI: the teacher's patches are clustered during training; the student predicts the clusters of masked patches.

Recipe: the authors' (https://github.com/facebookresearch/capi, default_pretrain_config.yaml). AdamW with betas 0.9 and
0.95 and weight decay 0.1; 65 % of the patches masked around a visible block; crops of at least 0.6 of the area;
temperatures 0.12 (student) and 0.06 (teacher); three Sinkhorn iterations at each patch position; a cross-attention
predictor as wide as the backbone and half as deep; weight decay 0.01 for the clustering. The clusters' weights are
initialised with standard deviation 1 (model.py). lightly keeps torch's default, which is fourteen times smaller at a
width of 64 and makes all images start in all clusters equally.

Deviations: there are 32 clusters, eight images of a batch per cluster (theirs: 16384 clusters, one image per cluster).
The teacher's momentum starts at 0.95 (theirs: 0.999), without a warm-up. The learning rate is 2e-3, and twice that for
the clustering (theirs: 1e-3 at batch size 16384, and half of it), because theirs are for half a million steps. All
masked patches are predicted (theirs: 5 %, to save memory). The backbone keeps its class token, which the predictor does
not see. Positions are fixed in the backbone and rotary only in the predictor. There is no stochastic depth (theirs:
0.2). All layers of the student have the same learning rate and weight decay.

How they were chosen: on the development task of digits (60 epochs, vit_nano, seed 0), accuracy in % with kNN / with one
label per class and a frozen encoder: untrained network 59.3 / 22.1; 256 clusters, momentum 0.99 and half the learning
rate for the clustering 55.9 / 21.9; 32 clusters, momentum 0.95 and half the learning rate 65.5 / 25.7; 32 clusters,
momentum 0.95 and twice the learning rate (this recipe) 62.1 / 25.2, where the clustering's loss falls from the first
steps on.

As in the paper, the teacher is evaluated, with the mean of its patch tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from lightly.loss.capi_loss import CAPILoss
from lightly.models.modules.capi_predictor_timm import CAPIPredictorTIMM
from lightly.models.modules.heads import CAPIProjectionHead
from lightly.models.utils import random_inverse_block_mask
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from methods.base import Backbone, Batch, Encoder, Family, Loss, Method, Needs, Recipe, input_of
from methods.parts.cropped import cropped_view
from methods.parts.masked import attention_heads, drawing_from, encode_kept, vit_of
from methods.parts.patches import patches_per_side
from methods.parts.precision import in_float32
from methods.parts.rows import by_rows
from methods.parts.teacher import follow, momentum_at, teacher_of
from methods.ranges import Count, Fraction, Part, Positive, PositiveFraction
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits

CLUSTERING_RATE = 2.0
"""Learning rate of the clustering, as a factor on the recipe's."""
CLUSTERING_DECAY = 0.01
"""Weight decay of the clustering."""


@dataclass(frozen=True)
class CAPISettings:
    """What is particular to CAPI.

    Attributes:
        clusters: Number of clusters.
        masked: Fraction of the patches that are masked.
        momentum: The teacher's momentum at the start; it rises to 1.
        depth: Depth of the predictor, as a fraction of the backbone's.
        teacher_temperature: Temperature of the teacher's assignments.
        student_temperature: Temperature of the student's softmax and of the clustering's.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    clusters: Count = 32
    masked: Part = 0.65
    momentum: Fraction = 0.95
    depth: PositiveFraction = 0.5
    teacher_temperature: Positive = 0.06
    student_temperature: Positive = 0.12
    min_scale: PositiveFraction = 0.6


class CAPI(Method):
    """A student on the visible patches, a predictor, a teacher on all patches, and a clustering."""

    title: ClassVar[str] = "CAPI"
    paper: ClassVar[str] = "https://arxiv.org/abs/2502.08769"
    family: ClassVar[Family] = "self-distillation"
    needs: ClassVar[Needs] = Needs(backbone="transformer")
    recipe: ClassVar[Recipe] = Recipe(
        version=1, optimizer="adamw", rate=2e-3, weight_decay=0.1, betas=(0.9, 0.95), warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "masked": Between(0.4, 0.85),
        "teacher_temperature": Between(0.03, 0.12, log=True),
    }
    Settings: ClassVar[type[Any]] = CAPISettings

    def __init__(self, backbone: Backbone | None, settings: CAPISettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        vit = vit_of(self.backbone, traits)
        self.predictor = CAPIPredictorTIMM(
            self.backbone.dim,
            patches_per_side(traits),
            depth=max(1, round(settings.depth * len(vit.blocks))),
            num_heads=attention_heads(vit),
        )
        self.head = UnitPrototypes(self.backbone.dim, settings.clusters)
        self.clustering = CAPIProjectionHead(self.backbone.dim, settings.clusters, bias=True)
        nn.init.normal_(self.clustering.layer.weight)
        nn.init.zeros_(self.clustering.layer.bias)
        self.teacher = teacher_of(self.backbone)
        self.criterion = CAPILoss(settings.teacher_temperature, settings.student_temperature)

    @classmethod
    def views(cls, settings: CAPISettings, traits: Traits) -> Callable[[Any], Any]:
        """Return one random crop."""
        return cropped_view(traits, settings.min_scale)

    @classmethod
    def collate(cls, settings: CAPISettings, traits: Traits) -> Callable[[int, torch.Generator], Any]:
        """Return a function that draws the visible and the masked patches."""
        patches = patches_per_side(traits) ** 2

        def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            with drawing_from(generator):
                visible, hidden = random_inverse_block_mask((batch, patches), settings.masked, num_prefix_tokens=0)
            return visible, hidden

        return draw

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the sum of the student's cross-entropy and the clustering's."""
        images = batch.views[0]
        visible, hidden = batch.masks
        student = self.predict(images, visible, hidden)
        teacher = self.cluster(images)
        prediction = in_float32(lambda t, s: self.criterion(t, s, hidden), teacher, student)
        clustering = in_float32(self.criterion, teacher, teacher)
        return Loss(prediction + clustering, {"prediction": prediction, "clustering": clustering})

    def predict(
        self,
        images: Float[Tensor, "batch channels size size"],
        visible: Int[Tensor, "batch visible"],
        hidden: Int[Tensor, "batch hidden"],
    ) -> Float[Tensor, "batch hidden clusters"]:
        """Return the student's logits for the masked patches."""
        vit = vit_of(self.backbone, self.traits)
        seen = encode_kept(vit, images, visible)[:, vit.num_prefix_tokens :]
        logits: Tensor = self.head(self.predictor(seen, visible, hidden))
        return logits

    def cluster(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch patches clusters"]:
        """Return the clustering's logits for all patches of the teacher, which receives no gradient."""
        vit = vit_of(self.teacher, self.traits)
        with torch.no_grad():
            patches = by_rows(vit.forward_features, images)[:, vit.num_prefix_tokens :]
        logits: Tensor = self.clustering(patches)
        return logits

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        follow(self.backbone, self.teacher, momentum_at(progress, self.settings.momentum))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the default groups, and groups of the clustering with their own learning rate and weight decay."""
        clustering = {id(p) for p in self.clustering.parameters()}
        groups: list[dict[str, Any]] = []
        for group in super().parameter_groups():
            inside = [p for p in group["params"] if id(p) in clustering]
            groups += [
                {**group, "params": [p for p in group["params"] if id(p) not in clustering]},
                {"weight_decay": CLUSTERING_DECAY, **group, "params": inside, "rate_scale": CLUSTERING_RATE},
            ]
        return groups

    def encoder(self) -> Encoder:
        """Return the teacher."""
        return Encoder(self.teacher, input_of(self.traits))


class UnitPrototypes(CAPIProjectionHead):  # type: ignore[misc]
    """lightly's head with prototypes of unit length, without the frozen parameter of its ``weight_norm`` option."""

    def forward(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... clusters"]:
        """Return the cosine similarities to the prototypes."""
        return linear(normalize(x, dim=-1), normalize(self.layer.weight, dim=-1))
