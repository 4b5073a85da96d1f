"""Augmentation arguments for lightly's pipelines that suit a data set: no harmful flip, colour jitter or blur."""

from typing import Any

from methods.traits import Traits

LARGEST_WITHOUT_BLUR = 32
"""Largest image without blur, in pixels: with blur SimCLR loses about six points of kNN on CIFAR-10."""


def allowed(traits: Traits, min_scale: float, blur: float | None = None) -> dict[str, Any]:
    """Return arguments for lightly's pipelines: image size, no normalisation, no augmentation that the traits rule out.

    Args:
        traits: Properties of the data set.
        min_scale: Smallest crop, as a fraction of the image's area.
        blur: Probability of a blur if the images are large enough; None for the pipeline's default.
    """
    arguments: dict[str, Any] = {"input_size": traits.size, "min_scale": min_scale, "normalize": None}
    if not traits.horizontal_flip:
        arguments["hf_prob"] = 0.0
    if traits.channels == 1:
        arguments |= {"cj_sat": 0.0, "cj_hue": 0.0, "random_gray_scale": 0.0}
    if traits.size <= LARGEST_WITHOUT_BLUR:
        arguments["gaussian_blur"] = 0.0
    elif blur is not None:
        arguments["gaussian_blur"] = blur
    return arguments
