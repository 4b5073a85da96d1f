"""The batch size of a run: by the images that pretraining sees, or by ``--batch-size``."""

from typing import TYPE_CHECKING

from bench.data import catalogue as datasets
from bench.errors import SslbenchError
from bench.planning.request import Request

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from methods.base import Method


def default_batch_size(method: type["Method"], dataset: "Dataset") -> int:
    """Return the batch size for all images that pretraining sees: a method that needs labels sees only ``train``.

    It does not depend on ``--share``.
    """
    return datasets.batch_size(dataset.traits.train if method.needs.labels else dataset.traits.images)


def batch_size(request: Request, method: type["Method"], dataset: "Dataset") -> int:
    """Return the batch size of a run.

    Raises:
        SslbenchError: The images of ``--share`` are fewer than a batch, or ``--batch-size`` is out of range.
    """
    from bench.data.share import seen

    images = len(seen(dataset, request.share if method.needs.training else None, labels=method.needs.labels))
    if request.batch_size is None:
        batch = default_batch_size(method, dataset)
        if request.share is not None and batch > images:
            raise SslbenchError(
                f"--share {request.share:g}: leaves {images} images, fewer than a batch of {batch}; use a larger share or a smaller --batch-size"
            )
        return batch
    if not 2 <= request.batch_size <= images:
        raise SslbenchError(
            f"--batch-size {request.batch_size}: must be between 2 and {images}, the number of images for pretraining"
        )
    return request.batch_size
