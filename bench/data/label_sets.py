"""Label sets: which images a low-shot protocol may use the labels of; nested in a draw, equal for every method, seed and machine."""

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

    A draw has one seeded permutation a class; a label set is its first K images, or its first P % (half rounds up, at least one).

    Args:
        train_labels: int64 of all of ``train``.
        labels: ``"5"`` (a class) or ``"10pct"``.
        draw: From 0.
        class_names: To name a class in an error; its label where they are not given.

    Raises:
        SslbenchError: ``labels`` is of neither form, or a class has fewer images; it is named.
    """
    wanted = _parse(labels)
    known = train_labels.numpy()
    chosen = []
    for label in np.unique(known).tolist():
        positions = np.flatnonzero(known == label)
        count = wanted if isinstance(wanted, int) else at_least_one(len(positions), wanted)
        if count > len(positions):
            name = class_names[label] if class_names else label
            raise SslbenchError(
                f"class {name} has {len(positions)} images of train, fewer than {labels} labels a class: ask for fewer"
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
