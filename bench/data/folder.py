"""Read a user's own images from a directory or zip."""

from pathlib import Path

import numpy as np

from bench.data.cache import cached
from bench.data.decode_all import bytes_of, decode_all
from bench.data.layout import Layout, layout
from bench.data.listing import listing
from bench.data.raw import RawData
from bench.data.splits import TEST, stratified
from bench.errors import SslbenchError
from bench.printable import printable


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images of a directory or zip, ``size`` pixels wide, mapped from the cache; ``name`` is only used in errors.

    They have one channel if all images of ``train`` are grey. Without a labelled test part, a stratified fifth of ``train`` becomes the
    test part.

    Raises:
        SslbenchError: The folder does not exist, is not safe to read, has too few classes or contains a corrupt image, or the cache
            cannot be written.
    """
    with listing(folder) as files:
        parts = _with_test_part(name, layout(files.names, str(folder), files.folders))
        labelled = [*parts.train, *parts.test]
        paths = [*(image for image, _ in labelled), *parts.unlabelled]
        train, end = len(parts.train), len(labelled)
        order = "\n".join(paths)
        images, notes = cached(
            f"{size}\0{train}\0{order}\0{files.state}",
            bytes_of(len(paths), size),
            lambda target: decode_all(files, paths, train, size, target),
        )
    labels = np.array([label for _, label in labelled], np.int64)
    left_out = {**parts.left_out, **{kind: count for kind, count in files.left_out.items() if count}}
    return RawData(
        parts.class_names,
        images[:train],
        labels[:train],
        images[train:end],
        labels[train:],
        images[end:] if parts.unlabelled else None,
        left_out,
        (*parts.notes, *notes),
    )


def _with_test_part(name: str, parts: Layout) -> Layout:
    """Split the test part off before the images are decoded, so that every part is one piece of the cached array."""
    if parts.test:
        return parts
    labels = np.array([label for _, label in parts.train], np.int64)
    try:
        keep, test = stratified(labels, TEST, "test", parts.class_names)
    except SslbenchError as cause:
        raise SslbenchError(printable(f"{name}: {cause}")) from cause
    train = [parts.train[at] for at in keep]
    return Layout(
        parts.class_names, train, [parts.train[at] for at in test], parts.unlabelled, parts.left_out, parts.notes
    )
