"""Label sets: the images whose labels a low-shot protocol may use; nested within a draw, the same for all methods, seeds and machines."""

import hashlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bench.data.splits import at_least_one, permutation
from bench.errors import SslbenchError
from protocols.parts.labels import parse_labels


def label_set(
    train_labels: Int[Tensor, " train"], labels: str, draw: int, class_names: Sequence[str] = ()
) -> Int[Tensor, " labelled"]:
    """Return positions in ``train``, class by class.

    Each draw has one seeded permutation per class; a label set is the first K images or the first P % of each permutation (rounded half
    up, at least one).

    Args:
        train_labels: int64 labels of all of ``train``.
        labels: ``"5"`` (images per class) or ``"10pct"``.
        draw: Number of the draw, from 0.
        class_names: Class names for error messages; the labels are used if they are missing.

    Raises:
        SslbenchError: ``labels`` has neither form, or a class has fewer images.
    """
    wanted = _parse(labels)
    all_labels = train_labels.numpy()
    chosen = []
    for label in np.unique(all_labels).tolist():
        positions = np.flatnonzero(all_labels == label)
        count = wanted if isinstance(wanted, int) else at_least_one(len(positions), wanted)
        if count > len(positions):
            name = class_names[label] if class_names else label
            raise SslbenchError(
                f"class {name} has {len(positions)} train images, fewer than {labels} labels per class: ask for fewer"
            )
        chosen.append(positions[permutation(len(positions), "label set", draw, label)[:count]])
    return torch.from_numpy(np.concatenate(chosen))


def label_sets_hash(sets: Sequence[Int[Tensor, " labelled"]]) -> str:
    """Return a hex hash of label sets, in the order of their draws, for the record."""
    digest = hashlib.blake2b(digest_size=16)
    for positions in sets:
        digest.update(len(positions).to_bytes(8, "little"))
        digest.update(positions.numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _parse(text: str) -> int | Fraction:
    try:
        labels = parse_labels(text)
    except ValueError as error:
        raise SslbenchError(str(error)) from None
    return Fraction(labels.amount) / 100 if labels.unit == "percent" else int(labels.amount)
