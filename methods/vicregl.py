"""VICRegL: VICReg on whole images, and on positions of the feature map that match by embedding or by location.

Recipe: lightly's on Imagenette (https://github.com/lightly-ai/lightly,
docs/source/getting_started/benchmarks/imagenette_benchmark.py). Weights 25, 25 and 1; three quarters of the loss on
whole images; 16 and 4 matches; two global crops and no local ones [Bardes 2022, for a ResNet]; a projector of 2048 on
512 features; a local projector of 128.

Deviations: the global projector keeps its ratio to the backbone (four times its features); the local one has its
published size, and layer norm (lightly) instead of batch norm. The positions are those of the backbone's own feature
map, whatever its size; all of them are used if there are fewer than 16. Images of up to 32 pixels are not blurred.
AdamW with learning rate 0.002 at batch size 256, weight decay 5e-4 (practically none: it shrinks weights by 0.015 % in
300 steps) and a warm-up over a tenth of the training replaces LARS with learning rate 0.3. Biases and norms have no
weight decay. AdamW was not compared with the published optimiser. On a transformer, AdamW as in ``simclr``; the feature
map is that of the patch tokens.

lightly spaces the positions of an N×N grid by 1/(N-1) of the crop and starts half a cell from the edge, so that the
last one is outside the crop. The authors use the centres of the cells. They are computed here from lightly's 2×2 grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.models.modules.heads import BarlowTwinsProjectionHead, VicRegLLocalProjectionHead
from lightly.transforms.vicregl_transform import VICRegLTransform
from torch import Tensor

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.parts.redundancy import VICRegLLoss
from methods.ranges import Count, Fraction, Multiple, PositiveFraction
from methods.space import CROP, DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class VICRegLSettings:
    """What is particular to VICRegL.

    Attributes:
        alpha: Weight of the loss on whole images; the loss on positions has one minus this.
        matches: Number of best pairs that are kept when positions of the first view are matched to the second.
        few_matches: Number of best pairs that are kept in the other direction.
        dim: Width of the global projector and length of its embedding, in multiples of the backbone's features.
        local_dim: Width of the local projector and length of its embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    alpha: Fraction = 0.75
    matches: Count = 16
    few_matches: Count = 4
    dim: Multiple = 4
    local_dim: Count = 128
    min_scale: PositiveFraction = 0.2


class VICRegL(Method):
    """The backbone, projectors for images and for positions, and VICReg on both."""

    title: ClassVar[str] = "VICRegL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2210.01571"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "alpha": Between(0.25, 0.95),
        "min_scale": CROP,
    }
    Settings: ClassVar[type[Any]] = VICRegLSettings

    def __init__(self, backbone: Backbone | None, settings: VICRegLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        if self.backbone.kind == "mlp":
            raise ValueError(
                "VICRegL matches positions of a feature map, but a perceptron has none: use another backbone."
            )
        width = settings.dim * self.backbone.dim
        self.projection = BarlowTwinsProjectionHead(self.backbone.dim, width, width)
        self.local_projection = VicRegLLocalProjectionHead(self.backbone.dim, settings.local_dim, settings.local_dim)
        self.criterion = VICRegLLoss(alpha=settings.alpha, num_matches=(settings.matches, settings.few_matches))

    @classmethod
    def views(cls, settings: VICRegLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two views, then for each a 2×2 grid, from which ``cell_centres`` computes positions."""
        arguments = allowed(traits, settings.min_scale)
        del arguments["input_size"], arguments["min_scale"]
        if "gaussian_blur" in arguments:
            arguments["global_gaussian_blur_prob"] = arguments.pop("gaussian_blur")
        pipeline: Callable[[Any], Any] = VICRegLTransform(
            global_crop_size=traits.size,
            global_crop_scale=(settings.min_scale, 1.0),
            global_grid_size=2,
            n_local_views=0,
            **arguments,
        )
        return pipeline

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the weighted loss over images and positions of both views."""
        (first, second), grids = (self._embed(view) for view in batch.views[:2]), batch.views[2:]
        centres = [cell_centres(grid, *first[1].shape[1:3]) for grid in grids]
        return Loss(in_float32(self._loss, *first, *second, *centres), {})

    def _embed(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch h w local_dim"]]:
        feature_map = self.backbone.feature_map(images)
        assert feature_map is not None
        # The mean over the map equals the backbone's features, without a second pass.
        return self.projection(feature_map.mean(dim=(2, 3))), self.local_projection(feature_map.permute(0, 2, 3, 1))

    def _loss(self, *tensors: Tensor) -> Tensor:
        first, second, grids = tensors[:2], tensors[2:4], tensors[4:]
        # lightly returns a tensor of shape (1,).
        loss: Tensor = self.criterion(global_view_features=[first, second], global_view_grids=grids).squeeze()
        return loss


def cell_centres(grid: Float[Tensor, "batch 2 2 2"], height: int, width: int) -> Float[Tensor, "batch height width 2"]:
    """Return the centres of a feature map's cells in the original image, as (x, y) in pixels.

    Args:
        grid: lightly's 2×2 grid: along each axis, the coordinates a quarter of the crop's length after its start and
            after its end, in the order of the view; reversed if the view is mirrored.
        height: Height of the feature map.
        width: Width of the feature map.
    """
    near = grid[:, 0, 0]
    side = grid[:, 1, 1] - near
    start = near - side.abs() / 4.0
    steps = [(torch.arange(n, device=grid.device) + 0.5) / n for n in (width, height)]
    x, y = (start[:, i, None] + side[:, i, None] * steps[i] for i in (0, 1))
    return torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)
