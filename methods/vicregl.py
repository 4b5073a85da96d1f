"""VICRegL: VICReg on whole images, and on places of the map that match by their embedding or by where they lie in the image.

Recipe: lightly's on Imagenette (https://github.com/lightly-ai/lightly, docs/source/getting_started/benchmarks/imagenette_benchmark.py): weights 25, 25
and 1, three quarters of the loss on whole images, 16 and 4 matches, two global views and no small ones [Bardes 2022, for a ResNet]; head of
2048 on 512 features, local head of 128.
Deviations: the global head keeps its ratio to the backbone (four times its features), the local one its published size; places are those of the
backbone's own map, whatever its size, and all of them where it has fewer than 16; no blur up to 32 pixels; AdamW, rate 0.002 at 256 images, decay 5e-4,
a warm-up of a tenth of the training, in the place of LARS with rate 0.3; biases and norms do not decay.
AdamW was not compared with the published optimiser.
On a transformer: AdamW as in ``simclr``; the map is that of the patch tokens.

lightly gives the places of an N×N grid a spacing of 1/(N-1) of the crop and starts half a cell in, so that the last lies outside; the
authors' are the centres of the cells. They are computed here from lightly's grid of two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from lightly.loss import VICRegLLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead, VicRegLLocalProjectionHead
from lightly.transforms.vicregl_transform import VICRegLTransform
from torch import Tensor

from methods.base import Backbone, Batch, Family, Loss, Method, Recipe
from methods.parts.augmentation import allowed
from methods.parts.precision import in_float32
from methods.traits import Traits


@dataclass(frozen=True)
class VICRegLSettings:
    """What is particular to VICRegL.

    Attributes:
        alpha: Weight of the loss on whole images; that on places has the rest.
        matches: Pairs of places that are kept, the best first, where the first view's places look for partners.
        few_matches: Likewise, where the second view's look for them.
        dim: Width of the global head and length of its embedding, in multiples of the backbone's features.
        local_dim: Width of the local head and length of its embedding.
        min_scale: Smallest crop, as a fraction of the image's area.
    """

    alpha: float = 0.75
    matches: int = 16
    few_matches: int = 4
    dim: int = 4
    local_dim: int = 128
    min_scale: float = 0.2


class VICRegL(Method):
    """The backbone, a head for images and one for places, VICReg on both."""

    title: ClassVar[str] = "VICRegL"
    paper: ClassVar[str] = "https://arxiv.org/abs/2210.01571"
    family: ClassVar[Family] = "redundancy and geometry"
    recipe: ClassVar[Recipe] = Recipe(version=2, optimizer="adamw", rate=2e-3, weight_decay=5e-4, warmup=0.1)
    transformer_recipe: ClassVar[Recipe | None] = Recipe(
        version=2, optimizer="adamw", rate=2e-3, weight_decay=0.05, warmup=0.1
    )
    Settings: ClassVar[type[Any]] = VICRegLSettings

    def __init__(self, backbone: Backbone | None, settings: VICRegLSettings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        if self.backbone.kind == "mlp":
            raise ValueError(
                "VICRegL matches places of a map, and a multilayer perceptron has none: take another backbone."
            )
        width = settings.dim * self.backbone.dim
        self.projection = BarlowTwinsProjectionHead(self.backbone.dim, width, width)
        self.local_projection = VicRegLLocalProjectionHead(self.backbone.dim, settings.local_dim, settings.local_dim)
        self.criterion = VICRegLLoss(alpha=settings.alpha, num_matches=(settings.matches, settings.few_matches))

    @classmethod
    def views(cls, settings: VICRegLSettings, traits: Traits) -> Callable[[Any], Any]:
        """Return two views, then for each a 2×2 grid from which ``cell_centres`` are computed."""
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
        """Return the weighted loss over images and places of both views."""
        (first, second), wide_table = (self._embed(view) for view in batch.views[:2]), batch.views[2:]
        places = [cell_centres(grid, *first[1].shape[1:3]) for grid in wide_table]
        return Loss(in_float32(self._loss, *first, *second, *places), {})

    def _embed(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch h w local_dim"]]:
        feature_map = self.backbone.feature_map(images)
        assert feature_map is not None
        # The mean over places is what a backbone with a map gives as features, and spares a second pass.
        return self.projection(feature_map.mean(dim=(2, 3))), self.local_projection(feature_map.permute(0, 2, 3, 1))

    def _loss(self, *tensors: Tensor) -> Tensor:
        first, second, wide_table = tensors[:2], tensors[2:4], tensors[4:]
        # lightly returns one number in a tensor of one dimension.
        loss: Tensor = self.criterion(global_view_features=[first, second], global_view_grids=wide_table).squeeze()
        return loss


def cell_centres(grid: Float[Tensor, "batch 2 2 2"], height: int, width: int) -> Float[Tensor, "batch height width 2"]:
    """Return where the cells of a map have their centres in the original image, as (x, y) in pixels.

    Args:
        grid: lightly's, of two cells: along each axis a quarter of the crop's length after its start and after its end,
            in the order of the view, so reversed in a mirrored one.
        height: Of the map.
        width: Of the map.
    """
    near = grid[:, 0, 0]
    side = grid[:, 1, 1] - near
    start = near - side.abs() / 4.0
    steps = [(torch.arange(n, device=grid.device) + 0.5) / n for n in (width, height)]
    x, y = (start[:, i, None] + side[:, i, None] * steps[i] for i in (0, 1))
    return torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)
