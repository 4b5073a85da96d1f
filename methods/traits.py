"""Properties of a data set that a method may depend on; imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """Properties of a data set that views, heads and queues depend on.

    Attributes:
        channels: 1 or 3.
        size: Side of the square images, in pixels.
        classes: Number of classes; only for methods that need labels.
        mean: Mean of each channel over ``train``, for pixels scaled to [0, 1].
        std: Standard deviation of each channel over ``train``, for pixels scaled to [0, 1].
        horizontal_flip: Whether a mirrored image keeps its class.
        images: Number of pretraining images, ``train`` and ``unlabelled``; the length of a memory bank with one entry
            per image. Queues are at most a quarter as long.
        train: Number of images in ``train``.
        taken_from: Data set from which the images were taken, if it is one that encoders are often pretrained on; else None.
    """

    channels: int
    size: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    horizontal_flip: bool
    images: int
    train: int
    taken_from: str | None = None
