"""The view of masked methods: one random crop, flipped at random if the traits allow it."""

from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T

from methods.traits import Traits


def cropped_view(traits: Traits, min_scale: float, flip: bool = True) -> MultiViewTransform:
    """Return a pipeline of one bicubic crop, like lightly's ``MAETransform``, which cannot turn off the flip.

    Args:
        traits: Properties of the data set.
        min_scale: Smallest crop, as a fraction of the image's area.
        flip: Whether to flip half of the images, if a mirrored image keeps its class.
    """
    steps = [T.RandomResizedCrop(traits.size, scale=(min_scale, 1.0), interpolation=T.InterpolationMode.BICUBIC)]
    if flip and traits.horizontal_flip:
        steps.append(T.RandomHorizontalFlip())
    return MultiViewTransform([T.Compose([*steps, T.ToTensor()])])
