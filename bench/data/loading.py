"""Load a data set by its name: find or download the files, read them, split them."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from bench.data.assemble import assemble
from bench.data.catalogue import FOLDER, Entry, location, resolve
from bench.data.dataset import Dataset
from bench.data.development import development as development_task
from bench.data.development import fold_as_test
from bench.data.download import download
from bench.data.locate import find, own_path, roots
from bench.data.raw import RawData
from bench.errors import SslbenchError
from bench.filenames import slug
from bench.printable import printable

SIZES = range(8, 1025)
"""Values of ``--image-size``, in pixels."""


def load(
    name: str,
    *,
    data_root: Path | None = None,
    image_size: int | None = None,
    flip: bool | None = None,
    development: bool = False,
    fold: int | None = None,
) -> Dataset:
    """Return a data set.

    Different tasks never have the same name: the ``Dataset`` of own images is named by a slug and eight hex digits of its
    fingerprint, and that of ``imagenette`` at another size than the default ends in the size.

    Args:
        name: Name in the catalogue, or one of own images such as ``folder:PATH``.
        data_root: Folder of its files; ``SSLBENCH_DATA`` if None. Nothing is written into it.
        image_size: Side in pixels, only for data sets that are resized; None for their default.
        flip: Whether a mirrored image keeps its class, only for own images; None for yes.
        development: Return the development task instead.
        fold: Return the development task on this fold of ``train`` instead of ``val``, from 1; see ``fold_as_test``.

    Raises:
        SslbenchError: The name is unknown, an option does not apply to it, or its files are missing, corrupt or too few.
    """
    entry = resolve(name)
    size = _size(name, entry, image_size)
    if flip not in (None, entry.horizontal_flip) and entry.prefix is None:
        raise SslbenchError(f"{name}: --no-flip applies only to your own images, such as {FOLDER}PATH")
    flips = entry.horizontal_flip if flip is None else flip
    try:
        if entry.prefix is not None:
            path = own_path(name) if entry.is_path else roots(data_root)[0]
            dataset = assemble(name, _read(entry, name, path, size), flips)
            dataset = replace(dataset, name=_own_name(entry, name, dataset.fingerprint))
        else:
            folder = None if entry.package else _folder(name, data_root, size)
            raw = _read(entry, name, folder, size)
            _check_counts(entry, raw, folder)
            dataset = assemble(name if size == entry.size else f"{name}-{size}", raw, flips)
    except OSError as cause:
        raise SslbenchError(
            printable(f"{name}: {cause.filename} cannot be read ({cause.strerror}): check the path and its permissions")
        ) from cause
    if development:
        dataset = development_task(dataset) if fold is None else fold_as_test(dataset, fold)
    return replace(dataset, traits=replace(dataset.traits, taken_from=entry.taken_from))


def _size(name: str, entry: Entry, image_size: int | None) -> int:
    if image_size is None or image_size == entry.size:
        return entry.size
    if not entry.resizable:
        raise SslbenchError(f"{name} has images of {entry.size} pixels: leave --image-size out")
    if image_size not in SIZES:
        raise SslbenchError(f"--image-size {image_size} is not one of {SIZES[0]} to {SIZES[-1]} pixels")
    return image_size


def _folder(name: str, data_root: Path | None, size: int) -> Path:
    """Return the folder of a published data set's files, downloaded if necessary."""
    searched = roots(data_root)
    return find(name, searched, size) or download(name, size, searched)


def _read(entry: Entry, name: str, folder: Path | None, size: int) -> RawData:
    read: Callable[[str, Path | None, int], RawData] = import_module(f"bench.data.{entry.reader}").read
    return read(name, folder, size)


def _check_counts(entry: Entry, raw: RawData, folder: Path | None) -> None:
    """Raise an error for a part of a published set: its results must not appear under the name of the whole set."""
    parts = (
        ("train", raw.train_images, entry.train),
        ("test", raw.test_images, entry.test),
        ("unlabelled", raw.unlabelled_images, entry.unlabelled),
    )
    for part, images, published in parts:
        count = 0 if images is None else len(images)
        if count != published:
            raise SslbenchError(
                f"{folder or entry.package} has {count} {part} images, {entry.title} has {published}: download all of it, "
                f"or use {FOLDER}PATH for your own images"
            )


def _own_name(entry: Entry, name: str, fingerprint: str) -> str:
    """Return the name of a user's own images in records: readable, safe as a file name, unique by its fingerprint."""
    if not entry.is_path:
        return slug(f"{entry.prefix}{location(name)}", fingerprint)
    path = own_path(name)
    return slug(f"{entry.prefix}{path.stem if path.is_file() else path.resolve().name}", fingerprint)
