"""DINOv2: iBOT with a term that spreads class tokens over the sphere, each away from its nearest neighbour (KoLeo).

Recipe: the authors' on ImageNet (https://github.com/facebookresearch/dinov2, dinov2/configs/ssl_default_config.yaml).
AdamW, weight decay rising from 0.04 to 0.4, layer-wise decay of the learning rate 0.9, a factor of 0.2 on the patch
embedding's learning rate, gradients clipped at norm 3. KoLeo has weight 0.1 on the class tokens of both global crops.
Class token and patches share one head. Global and local crops are separated at 0.32 of the area. The teacher's
temperature rises from 0.04 to 0.07 over 30 of 100 epochs.

Deviations: as in ``ibot``; learning rate 0.001 at batch size 256 (theirs: 0.002); no stochastic depth (theirs: 0.3) and
no scaled residual branches (theirs: LayerScale from 1e-5). The recipe was not chosen by scores.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from lightly.loss import KoLeoLoss

from methods.base import Backbone, Batch, Loss, Recipe
from methods.ibot import IBOT, IBOTSettings
from methods.parts.masked import vit_of
from methods.parts.precision import in_float32
from methods.ranges import Fraction, NotNegative, Positive, PositiveFraction
from methods.space import DECAY, RATE, Between, Space
from methods.traits import Traits


@dataclass(frozen=True)
class DINOv2Settings(IBOTSettings):
    """What is particular to DINOv2.

    Attributes:
        koleo: Weight of the KoLeo term.
        layer_decay: Factor on the learning rate from each block to the one before it.
        patch_rate: Additional factor on the learning rate of the patch embedding.
    """

    temperature_warmup: Fraction = 0.3
    border: PositiveFraction = 0.32
    koleo: NotNegative = 0.1
    layer_decay: PositiveFraction = 0.9
    patch_rate: Positive = 0.2


class DINOv2(IBOT):
    """iBOT with KoLeo and lower learning rates in earlier layers."""

    title: ClassVar[str] = "DINOv2"
    paper: ClassVar[str] = "https://arxiv.org/abs/2304.07193"
    recipe: ClassVar[Recipe] = Recipe(
        version=2, optimizer="adamw", rate=1e-3, weight_decay=0.04, final_weight_decay=0.4, clip=3.0, warmup=0.1
    )
    space: ClassVar[Space] = {
        "recipe.rate": RATE,
        "recipe.weight_decay": DECAY,
        "teacher_temperature": Between(0.04, 0.09),
        "koleo": Between(0.01, 1.0, log=True),
    }
    Settings: ClassVar[type[Any]] = DINOv2Settings

    def __init__(self, backbone: Backbone | None, settings: DINOv2Settings, traits: Traits) -> None:
        super().__init__(backbone, settings, traits)
        self.koleo = KoLeoLoss()

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return iBOT's loss plus KoLeo on the student's class tokens of each global crop."""
        loss, tokens = self.distil(batch, progress)
        spread = sum((in_float32(self.koleo, view) for view in tokens), start=loss.total.new_zeros(()))
        return Loss(loss.total + self.settings.koleo * spread, loss.parts | {"koleo": spread})

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the default groups, split by learning rate."""
        scales = self._rate_scales()
        groups: list[dict[str, Any]] = []
        for group in super().parameter_groups():
            for scale in sorted({scales.get(id(p), 1.0) for p in group["params"]}):
                chosen = [p for p in group["params"] if scales.get(id(p), 1.0) == scale]
                groups.append(group | {"params": chosen, "rate_scale": scale})
        return groups

    def _rate_scales(self) -> dict[int, float]:
        """Return learning-rate factors by parameter id; absent ones (last norm, head) have factor 1."""
        vit = vit_of(self.backbone, self.traits)
        depth, decay = len(vit.blocks), self.settings.layer_decay
        first = decay ** (depth + 1)
        scales = {id(p): first for p in (vit.cls_token, vit.pos_embed, self.mask_token)}
        scales |= {id(p): first * self.settings.patch_rate for p in vit.patch_embed.parameters()}
        for number, block in enumerate(vit.blocks):
            scales |= {id(p): decay ** (depth - number) for p in block.parameters()}
        return scales
