"""Multi-crop: two global and several local crops, adapted to a data set's traits [SwAV, section 3.2; DINO]."""

from typing import Any

from lightly.transforms.dino_transform import DINOViewTransform
from lightly.transforms.multi_view_transform import MultiViewTransform

from methods.parts.augmentation import allowed
from methods.parts.patches import patch_size
from methods.traits import Traits


def local_size(traits: Traits) -> int:
    """Return the side of a local crop: about half the image's, and a multiple of the patch size."""
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
    """Return a pipeline of two global crops, then the local crops.

    It is assembled from lightly's ``DINOViewTransform``: lightly's ``DINOTransform`` ignores the jitter strength in the
    second view, and its ``MSNTransform`` ignores the jitter in local crops.

    Args:
        traits: Properties of the data set.
        global_scale: Smallest and largest global crop, as a fraction of the image's area.
        local_scale: Smallest and largest local crop, as a fraction of the image's area.
        local_views: Number of local crops.
        blur: Probability of a blur in the first global crop, the second and the local crops, if the images are large
            enough.
        solarisation: Probability of solarisation in the second global crop.
        jitter: lightly's arguments of the colour jitter, for all crops; by default DINO's.
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
