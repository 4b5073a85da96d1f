"""Multi-crop: two large crops of an image and some small ones, with what a data set's traits allow [SwAV, section 3.2; DINO]."""

from typing import Any

from lightly.transforms.dino_transform import DINOViewTransform
from lightly.transforms.multi_view_transform import MultiViewTransform

from methods.parts.augmentation import allowed
from methods.parts.patches import patch_size
from methods.traits import Traits


def local_size(traits: Traits) -> int:
    """Return the side of a small crop: whole patches of a vision transformer, about half an image."""
    patch = patch_size(traits.size)
    return max(patch, traits.size // 2 // patch * patch)


def multi_crop(
    traits: Traits,
    *,
    global_scale: tuple[float, float],
    local_scale: tuple[float, float],
    local_views: int,
    blur: tuple[float, float, float],
    solarisation: float,
    **jitter: float,
) -> MultiViewTransform:
    """Return two global views, then the local ones.

    lightly's view of DINO, put together here: its ``DINOTransform`` loses the jitter's strength for the second view, and its
    ``MSNTransform`` the jitter of the small ones.

    Args:
        traits: Of the data set.
        global_scale: Share of the image's area in a large crop.
        local_scale: Likewise, in a small one.
        local_views: Number of small crops.
        blur: Probability in the first large crop, the second, the small ones, where the size allows it.
        solarisation: Probability in the second large crop.
        jitter: lightly's arguments of the colour jitter, for all views; without, those of DINO.
    """

    def view(size: int, scale: tuple[float, float], blur: float, solarisation: float) -> DINOViewTransform:
        arguments: dict[str, Any] = jitter | allowed(traits, scale[0], blur)
        del arguments["input_size"], arguments["min_scale"]
        return DINOViewTransform(crop_size=size, crop_scale=scale, solarization_prob=solarisation, **arguments)

    small = view(local_size(traits), local_scale, blur[2], 0.0)
    return MultiViewTransform(
        [
            view(traits.size, global_scale, blur[0], 0.0),
            view(traits.size, global_scale, blur[1], solarisation),
            *[small] * local_views,
        ]
    )
