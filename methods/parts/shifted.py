"""The view of the supervised ceiling and of the rotation task: a shifted crop, mirrored where the class allows it."""

from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T

from methods.traits import Traits


def shifted_view(traits: Traits) -> MultiViewTransform:
    """Return a pipeline of one view, shifted by up to an eighth of the image (4 of 32 pixels), black outside."""
    steps = [T.RandomCrop(traits.size, padding=max(1, traits.size // 8))]
    if traits.horizontal_flip:
        steps.append(T.RandomHorizontalFlip(0.5))
    return MultiViewTransform([T.Compose([*steps, T.ToTensor()])])
