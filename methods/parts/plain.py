"""The view of methods without augmentation: the whole image."""

from lightly.transforms.multi_view_transform import MultiViewTransform
from lightly.transforms.torchvision_v2_compatibility import torchvision_transforms as T


def plain_view() -> MultiViewTransform:
    """Return a pipeline of one view that only converts the image to a tensor."""
    return MultiViewTransform([T.Compose([T.ToTensor()])])
