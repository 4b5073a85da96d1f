"""Patches of an image: their size for each image size, and their pixels as targets."""

from jaxtyping import Float
from lightly.models.utils import normalize_mean_var, patchify
from torch import Tensor

from methods.traits import Traits


def patch_size(size: int) -> int:
    """Return the side of a patch for images of ``size`` pixels: 2 below 16, 4 below 64, 8 below 128, then 16."""
    return 2 if size < 16 else 4 if size < 64 else 8 if size < 128 else 16


def patches_per_side(traits: Traits) -> int:
    """Return the number of patches along one side of an image."""
    return traits.size // patch_size(traits.size)


def patch_pixels(
    images: Float[Tensor, "batch channels size size"], patch: int, normalised: bool
) -> Float[Tensor, "batch patches pixels"]:
    """Return the pixels of each patch, patches in raster order, the channel as the fastest dimension.

    Args:
        images: Prepared images.
        patch: Side of a patch, in pixels.
        normalised: Whether each patch is normalised to mean 0 and variance 1 [MAE, section 3].
    """
    pixels: Tensor = patchify(images, patch)
    if normalised:
        pixels = normalize_mean_var(pixels)
    return pixels
