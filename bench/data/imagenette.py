"""Imagenette: fast.ai's ten classes of ImageNet, from its unpacked archives."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.data import folder
from bench.data.raw import RawData

TITLES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""WordNet id -> what it is."""


def read(path: Path, size: int) -> RawData:
    """Return Imagenette from the folder ``imagenette2-160`` or its larger fellows, resized to ``size`` pixels.

    Raises:
        SslbenchError: An image is corrupt, or the cache cannot be written.
    """
    source = folder.read(path, size)
    return replace(source, class_names=titled(source.class_names))


def titled(names: Sequence[str]) -> list[str]:
    """Return class names, the WordNet ids of Imagenette among them as what they are."""
    return [TITLES.get(name, name) for name in names]
