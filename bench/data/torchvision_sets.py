"""Read data sets of torchvision in which each image has one class: local files, or downloaded by torchvision."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.archive import reason
from bench.data.catalogue import location
from bench.data.files import Listing
from bench.data.labelled import Item, sorted_into_parts
from bench.data.locate import download_folder
from bench.data.parts import decoded
from bench.data.pixels import as_file
from bench.data.raw import RawData
from bench.errors import SslbenchError, unknown
from bench.printable import printable

Arguments = Mapping[str, object]
_SPLITS: Mapping[str, Arguments] = {"train": {"split": "train"}, "test": {"split": "test"}}
_TRAIN: Mapping[str, Arguments] = {"train": {"train": True}, "test": {"train": False}}
SETS: Mapping[str, Mapping[str, Arguments]] = {
    "Caltech101": {"": {}},
    "Caltech256": {"": {}},
    "Country211": {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}},
    "DTD": {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}},
    "EMNIST": {"train": {"split": "balanced", "train": True}, "test": {"split": "balanced", "train": False}},
    "EuroSAT": {"": {}},
    "FER2013": _SPLITS,
    "FGVCAircraft": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "Flowers102": {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}},
    "Food101": _SPLITS,
    "GTSRB": _SPLITS,
    "Imagenette": {"train": {"split": "train"}, "val": {"split": "val"}},
    "OxfordIIITPet": {"train": {"split": "trainval"}, "test": {"split": "test"}},
    "PCAM": {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}},
    "QMNIST": {"train": {"what": "train"}, "test": {"what": "test"}},
    "RenderedSST2": _SPLITS,
    "SEMEION": {"": {}},
    "StanfordCars": _SPLITS,
    "SUN397": {"": {}},
    "SVHN": {"train": {"split": "train"}, "test": {"split": "test"}, "unlabelled": {"split": "extra"}},
    "USPS": _TRAIN,
}
"""Class in ``torchvision.datasets`` -> its parts, with the arguments of each; one part without a name is split."""
_LABELS = ("targets", "labels", "y", "_labels", "samples", "_samples", "_image_labels")
"""Attributes in which the classes keep their labels; reading them is quicker than decoding all images."""


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images of a set of torchvision, ``size`` pixels wide, mapped from the cache.

    Args:
        name: ``torchvision:NAME``.
        folder: Folder of the data sets; if the files are not there, torchvision downloads them into the cache.
        size: Side in pixels.

    Raises:
        SslbenchError: The set is unknown, cannot be downloaded or read, or cannot be used.
    """
    chosen = location(name)
    if chosen not in SETS:
        raise unknown("data set of torchvision", chosen, list(SETS), "only sets with one class per image are read")
    parts = {part: _opened(name, chosen, folder, arguments) for part, arguments in SETS[chosen].items()}
    labels = {part: [None] * len(data) if part == "unlabelled" else _labels(data) for part, data in parts.items()}
    items: dict[str, list[Item]] = {
        part: [
            (f"{part} {at}", None if label is None else _class_name(parts[part], label))
            for at, label in enumerate(found)
        ]
        for part, found in labels.items()
    }

    def content(key: str) -> bytes:
        part, _, position = key.rpartition(" ")
        image = parts[part][int(position)][0]
        if not isinstance(image, Image.Image):
            raise SslbenchError(f"{name} has {type(image).__name__} instead of images")
        return as_file(np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB")))

    digest = hashlib.blake2b(digest_size=16)
    for part, data in parts.items():
        digest.update(f"{part}\0{data.root}\0{labels[part]}".encode())
        digest.update(str(getattr(data, "samples", getattr(data, "_image_files", ""))).encode("utf-8", "surrogatepass"))
    found = sorted_into_parts(items, name)
    return decoded(name, found, Listing(Path(name), [], [], digest.hexdigest(), content, {}), size)


def _opened(name: str, chosen: str, folder: Path, arguments: Arguments) -> Any:
    """Return a part of the set: from the user's folder, from earlier downloads, or downloaded."""
    import torchvision.datasets

    kind = getattr(torchvision.datasets, chosen)
    downloads = download_folder() / "torchvision"
    for root, download in ((folder, False), (downloads, False), (downloads, True)):
        try:
            return kind(str(root), **arguments, **({"download": True} if download else {}))
        except (RuntimeError, FileNotFoundError) as cause:
            if not download:
                continue
            raise _failed(name, folder, cause) from cause
        except Exception as cause:  # a damaged file and the network code raise many kinds of exceptions
            raise _failed(name, folder, cause) from cause
    raise AssertionError


def _failed(name: str, folder: Path, cause: Exception) -> SslbenchError:
    return SslbenchError(
        printable(
            f"{name} cannot be read or downloaded ({type(cause).__name__}: {reason(cause)}): put torchvision's files into {folder}"
        )
    )


def _labels(data: Any) -> list[int]:
    """Return the labels of all images, in order."""
    for attribute in _LABELS:
        values = getattr(data, attribute, None)
        if values is not None and len(values) == len(data) > 0:
            found = [int(value[-1] if isinstance(value, tuple | list) else value) for value in values]
            if found[0] == int(data[0][1]) and found[-1] == int(data[len(data) - 1][1]):
                return found
    return [int(data[at][1]) for at in range(len(data))]


def _class_name(data: Any, label: int) -> str:
    names: Sequence[str] = getattr(data, "classes", None) or getattr(data, "categories", None) or ()
    return str(names[label]) if 0 <= label < len(names) and len(set(names)) == len(names) else str(label)
