"""Protocols with one draw and few steps, for tests that need no accuracy."""

from dataclasses import replace

from protocols.catalogue import Entry
from protocols.parts.training import Training


def shortened(entry: Entry, epochs: int = 5) -> Entry:
    """The same protocol with one draw and few steps or epochs."""
    shorter: dict[str, object] = {}
    if "draws" in entry.constants:
        shorter["draws"] = 1
    if isinstance(training := entry.constants.get("training"), Training):
        shorter["training"] = replace(training, steps=20, passes=2)
    if "epochs" in entry.constants:
        shorter["epochs"] = epochs
    if "steps" in entry.constants:
        shorter["steps"] = 20
    return replace(entry, constants={**entry.constants, **shorter})
