"""Multi-crop: two large crops of an image and some small ones, with what a data set's traits allow [SwAV, section 3.2; DINO]."""

from typing import Any

from lightly.transforms.dino_transform import DINOViewTransform
from lightly.transforms.multi_view_transform import MultiViewTransform

from methods.parts.augmentation import allowed
from methods.traits import Traits

_LARGEST_PATCH = 16


def local_size(size: int) -> int:
    """Return the side of a small crop of images of ``size`` pixels: about half, and whole patches of a vision transformer.

    A patch is a power of two, divides the size and is at most a quarter of it: the largest such number is a multiple of it.
    """
    unit = max(p for p in (1, 2, 4, 8, _LARGEST_PATCH) if size % p == 0 and (p == 1 or 4 * p <= size))
    return max(unit, size // 2 // unit * unit)


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

    small = view(local_size(traits.size), local_scale, blur[2], 0.0)
    return MultiViewTransform(
        [
            view(traits.size, global_scale, blur[0], 0.0),
            view(traits.size, global_scale, blur[1], solarisation),
            *[small] * local_views,
        ]
    )
