"""The view of ``supervised`` and ``rotation``: a shifted crop, flipped at random if the traits allow it."""

from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T

from methods.traits import Traits


def shifted_view(traits: Traits) -> MultiViewTransform:
    """Return a pipeline of one view, shifted by up to an eighth of the image (4 of 32 pixels) and padded with black."""
    steps = [T.RandomCrop(traits.size, padding=max(1, traits.size // 8))]
    if traits.horizontal_flip:
        steps.append(T.RandomHorizontalFlip(0.5))
    return MultiViewTransform([T.Compose([*steps, T.ToTensor()])])
