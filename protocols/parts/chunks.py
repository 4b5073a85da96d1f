"""Number of images that are processed at once: limited by pixels, so that large images take no more memory than small ones."""

from protocols.base import StoredImages, Task

SIDE = 32
"""Side in pixels of the images for which counts are given; smaller images are not processed in larger numbers."""


def images_at_once(count: int, images: StoredImages, task: Task) -> int:
    """Return how many of these images have as many pixels as ``count`` images of 32 × 32; from 1 to ``count``.

    Their size is the larger of the sizes before and after ``task.prepare``.
    """
    size = max(images.shape[-1], task.prepare(images[:1]).shape[-1])
    return max(1, min(count, count * SIDE**2 // size**2))
