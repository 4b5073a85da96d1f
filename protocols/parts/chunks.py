"""How many images are held at once, prepared or inside a network: bounded in pixels, so that large ones take no more memory."""

from protocols.base import Images, Task

SIDE = 32
"""Of the images for which the protocols state their counts; smaller ones are not taken in larger numbers."""


def images_at_once(count: int, images: Images, task: Task) -> int:
    """Return how many of these images have the pixels of ``count`` images of 32 × 32, as they are and prepared; from one to ``count``."""
    size = max(images.shape[-1], task.prepare(images[:1]).shape[-1])
    return max(1, min(count, count * SIDE**2 // size**2))
