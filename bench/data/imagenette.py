"""Imagenette: ten classes of ImageNet selected by fast.ai, read from its unpacked archives."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.data.folder import read as read_folder
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
"""WordNet id -> class name."""


def read(name: str, folder: Path, size: int) -> RawData:
    """Return Imagenette from ``imagenette2-160`` or one of the larger archives, resized to ``size`` pixels.

    Raises:
        SslbenchError: An image is corrupt, or the cache cannot be written.
    """
    raw = read_folder(name, folder, size)
    return replace(raw, class_names=titled(raw.class_names))


def titled(names: Sequence[str]) -> list[str]:
    """Return class names, with the WordNet ids of Imagenette replaced by words."""
    return [TITLES.get(name, name) for name in names]
