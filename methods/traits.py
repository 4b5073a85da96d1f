"""What a method may know of a data set; imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """What views and heads depend on.

    Attributes:
        channels: 1 or 3.
        size: Side of the square images, in pixels.
        classes: Number of classes (only a method that needs labels may use it).
        mean: Channel means of ``train``, of pixels scaled to [0, 1].
        std: Channel deviations of ``train``, likewise.
        horizontal_flip: Whether a mirrored image keeps its class.
        images: Number of images that pretraining sees, ``train`` and ``unlabelled``: the length of a memory bank with one entry an image.
        train: Number of images of ``train``; queues are never longer than a quarter of it.
    """

    channels: int
    size: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    horizontal_flip: bool
    images: int
    train: int
