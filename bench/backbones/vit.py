"""timm's vision transformer, with a patch size that fits the images.

Source: Dosovitskiy et al. 2020 (https://arxiv.org/abs/2010.11929) through ``timm.models.vision_transformer``; the patch sizes
give 16 to 196 patch tokens. Position embeddings are fixed two-dimensional sines and cosines [MoCo v3, section 5; MAE, section 3]: learned
ones start near zero, and small networks do not learn them in a short training. Weights are initialised as in the original (Xavier):
timm's default deviation of 0.02 is meant for a width of 768. The attribute ``vit`` is the plain network, so that lightly's masked
wrapper can be put around it. Square images of another size (small crops) are also accepted if the patch size divides it: the grid of
position embeddings is resampled, bicubic with antialiasing.
"""

from typing import ClassVar, Literal

from jaxtyping import Float
from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from bench.errors import SslbenchError
from methods.base import Backbone, Pooling
from methods.parts.patches import patch_size
from methods.parts.rows import divisible
from methods.traits import Traits


class ViT(Backbone):
    """A pre-norm ViT with a class token and fixed position embeddings; ``width`` features.

    Attributes:
        vit: The timm network.
        patch: Side of a patch in pixels.
    """

    kind: ClassVar[Literal["convolutional", "transformer", "mlp", "none"]] = "transformer"

    def __init__(self, traits: Traits, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.dim = width
        self.pooling: Pooling = "patches"
        self.patch = patch_size(traits.size)
        if traits.size % self.patch:
            raise SslbenchError(
                f"A ViT cannot cut images of {traits.size} pixels into patches of {self.patch}: "
                f"use another backbone, or an image size that is a multiple of {self.patch}."
            )
        self.vit = VisionTransformer(
            img_size=traits.size,
            patch_size=self.patch,
            in_chans=traits.channels,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            weight_init="jax",
            dynamic_img_size=True,
        )
        initialize_2d_sine_cosine_positional_embedding(self.vit.pos_embed, num_prefix_tokens=self.vit.num_prefix_tokens)

    @divisible
    def tokens(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch tokens dim"]:
        """Return all tokens after the last norm, class token first; raises ValueError if the patch does not divide the size."""
        if images.shape[-1] % self.patch:
            raise ValueError(f"Images of {images.shape[-1]} pixels cannot be cut into patches of {self.patch}.")
        tokens: Tensor = self.vit.forward_features(images)
        return tokens

    @divisible
    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"]:
        """Return the patch tokens as a feature map."""
        patches = self.tokens(images)[:, self.vit.num_prefix_tokens :]
        side = images.shape[-1] // self.patch
        return patches.transpose(1, 2).reshape(len(images), self.dim, side, side)

    @divisible
    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return the ``class`` token or the mean of the ``patches``; raises ValueError for any other pooling."""
        if pooling == "class":
            return self.tokens(images)[:, 0]
        if pooling == "patches":
            return self.tokens(images)[:, self.vit.num_prefix_tokens :].mean(dim=1)
        raise ValueError(f"A vision transformer has no pooling '{pooling}': use 'class' or 'patches'.")
