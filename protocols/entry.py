"""A protocol's entry in the catalogue, its label sets, and the import of its file; imports no torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protocols.base import EvaluationProtocol


@dataclass(frozen=True)
class Entry:
    """One protocol with its constants; a changed constant is a new version.

    Attributes:
        id: The name that ``--protocol`` takes.
        version: Records of another version leave the tables.
        title: One line for listings.
        source: Where the constants come from.
        module: The Python module with the one ``EvaluationProtocol`` that computes it.
        constants: Arguments of that class.
        needs_network: Whether it runs the encoder's network, so that it cannot measure an encoder without one.
        label_free: Whether it uses no labels and gives a measure instead of an accuracy.
        higher_is_better: None if neither direction is better.
        metric: The measure that its column shows; None for ``top1``, or for the measure named as the id if it is label-free.
        fixed_conditions: Whether its blocks of scores are fixed conditions of the test images (``Predictions.conditions``), not draws.
        labels: Labels per draw, as ids write them; None if there are no label sets.
        draws: Number of label sets, or None.
        on: The data set that it measures on, named as in records; None for the one that the run was pretrained on.
    """

    id: str
    version: int
    title: str
    source: str
    module: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    needs_network: bool = False
    label_free: bool = False
    higher_is_better: bool | None = True
    metric: str | None = None
    fixed_conditions: bool = False
    labels: str | None = None
    draws: int | None = None
    on: str | None = None


def label_sets_of(entry: Entry, classes: int) -> tuple[str, int] | None:
    """Return (labels as ``Task.label_set`` takes them, number of draws), or None if there are no label sets."""
    if entry.labels is None or entry.draws is None:
        return None
    total = entry.constants.get("total_labels")
    return (entry.labels if total is None else str(total // classes)), entry.draws


def load(entry: Entry) -> "EvaluationProtocol":
    """Import the file that computes a protocol and build the protocol from its constants.

    Raises:
        ValueError: The file cannot be imported, or does not define exactly one ``EvaluationProtocol``.
    """
    return class_of(entry)(**entry.constants)


def class_of(entry: Entry) -> type["EvaluationProtocol"]:
    """Import the file that computes a protocol and return its class.

    Raises:
        ValueError: The file cannot be imported, or does not define exactly one ``EvaluationProtocol``.
    """
    from protocols.base import EvaluationProtocol

    try:
        module = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        raise ValueError(f"protocol '{entry.id}': {error}; install it or correct the entry's module") from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, EvaluationProtocol) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ValueError(f"protocol '{entry.id}': {entry.module} defines {len(found)} protocols instead of one")
    return found[0]
