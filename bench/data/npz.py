"""Read the arrays of an ``.npz`` file as MedMNIST ships it: ``train_images``, ``train_labels`` and so on."""

import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from bench.data.archive import MAX_RATIO, MAX_TOTAL_BYTES, reason
from bench.data.files import Listing, file_state
from bench.data.labelled import Item, sorted_into_parts
from bench.data.locate import cache_folder
from bench.data.parts import decoded
from bench.data.pixels import as_file
from bench.data.raw import RawData
from bench.errors import SslbenchError
from bench.printable import printable

IMAGES, LABELS = "_images", "_labels"
_READ = (
    "it is read as MedMNIST writes it: train_images, train_labels, test_images, test_labels, uint8, N×H×W or N×H×W×3"
)


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images of an ``.npz`` file, ``size`` pixels wide, mapped from the cache. Images without labels have the label -1.

    Raises:
        SslbenchError: The file is damaged, contains Python objects, volumes or several labels per image, or cannot be used otherwise.
    """
    if not folder.is_file():
        raise SslbenchError(printable(f"{folder} is not a file: write npz:FILE with the path of an .npz file"))
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(folder))
            arrays = {
                info.filename.removesuffix(".npy"): _Array(folder, archive, info, stack) for info in archive.infolist()
            }
            total = sum(info.file_size for info in archive.infolist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as cause:
            raise _refused(folder, f"is not a readable .npz file ({reason(cause)}): copy or save it again") from cause
        if total > max(MAX_TOTAL_BYTES, MAX_RATIO * folder.stat().st_size):
            raise _refused(folder, f"would unpack to {total} bytes, like a zip bomb: save the images as files")
        parts = {
            key.removesuffix(IMAGES): array for key, array in arrays.items() if key.endswith(IMAGES) and key != IMAGES
        }
        if not parts:
            raise _refused(folder, f"has no images (its arrays: {', '.join(sorted(arrays)) or 'none'}): {_READ}")
        items = {part: _items(folder, part, array, arrays.get(part + LABELS)) for part, array in parts.items()}

        def content(key: str) -> bytes:
            part, _, position = key.rpartition(" ")
            return as_file(parts[part].values[int(position)])

        state = f"{folder.resolve()}\0{file_state(folder.stat())}"
        return decoded(name, sorted_into_parts(items, str(folder)), Listing(folder, [], [], state, content, {}), size)


@dataclass
class _Array:
    """An array of the file; large ones are unpacked to a temporary file and mapped."""

    file: Path
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo
    stack: ExitStack

    def __post_init__(self) -> None:
        self._lock = Lock()

    @cached_property
    def header(self) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
        """Shape and type."""
        try:
            with self.archive.open(self.info) as opened:
                version = np.lib.format.read_magic(opened)
                header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = header(opened)
        except Exception as cause:  # damaged files raise many kinds of exceptions
            raise self._damaged(cause) from cause
        if dtype.hasobject:
            raise _refused(self.file, f"contains Python objects ({self.info.filename}), which are not read: {_READ}")
        return shape, dtype

    @property
    def values(self) -> "np.ndarray[Any, Any]":
        """The array, mapped from a temporary file."""
        with self._lock:
            return self._mapped

    @cached_property
    def _mapped(self) -> "np.ndarray[Any, Any]":
        _ = self.header
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            temporary = tempfile.NamedTemporaryFile(dir=cache_folder(), suffix=".npy")  # noqa: SIM115  # the stack closes it
            target = self.stack.enter_context(temporary)
            with self.archive.open(self.info) as opened:
                shutil.copyfileobj(opened, target, 2**20)
            target.flush()
            mapped: np.ndarray[Any, Any] = np.load(target.name, mmap_mode="r", allow_pickle=False)
        except OSError as cause:
            raise SslbenchError(
                printable(
                    f"{self.file} cannot be unpacked into {cache_folder()} ({cause.strerror or cause}): free space, or set SSLBENCH_CACHE"
                )
            ) from cause
        except Exception as cause:  # damaged files raise many kinds of exceptions
            raise self._damaged(cause) from cause
        return mapped

    def _damaged(self, cause: Exception) -> SslbenchError:
        return _refused(self.file, f"has a damaged array {self.info.filename} ({reason(cause)}): copy or save it again")


def _items(file: Path, part: str, images: _Array, labels: _Array | None) -> list[Item]:
    """Return the keys and classes of a part's images."""
    shape, dtype = images.header
    grey, colour = len(shape) == 3, len(shape) == 4 and shape[3] in (1, 3)
    if dtype != np.uint8 or not (grey or colour) or 0 in shape[1:]:
        given = f"{dtype} {'×'.join(map(str, shape))}"
        raise _refused(file, f"has {part}{IMAGES} of {given}, which are not images of 8 bits: {_READ}")
    if labels is None:
        return [(f"{part} {at}", None) for at in range(shape[0])]
    found, kind = labels.header
    if not (len(found) == 1 or (len(found) == 2 and found[1] == 1)):
        raise _refused(file, f"has {part}{LABELS} of {'×'.join(map(str, found))}: an image has one label, not several")
    if kind.kind not in "iub" or found[0] != shape[0]:
        raise _refused(
            file,
            f"has {found[0]} {part}{LABELS} of type {kind} for {shape[0]} images: there must be one integer per image",
        )
    numbers = np.asarray(labels.values).reshape(-1).tolist()
    return [(f"{part} {at}", None if int(label) < 0 else str(int(label))) for at, label in enumerate(numbers)]


def _refused(file: Path, text: str) -> SslbenchError:
    return SslbenchError(printable(f"{file} {text}"))
