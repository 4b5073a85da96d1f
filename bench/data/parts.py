"""Decode the images of all parts into one mapped array, and split off a test part where there is none."""

from dataclasses import replace

import numpy as np

from bench.data.cache import cached
from bench.data.decode_all import bytes_of, decode_all
from bench.data.files import Listing
from bench.data.layout import Layout
from bench.data.raw import RawData
from bench.data.splits import TEST, stratified
from bench.errors import SslbenchError
from bench.printable import printable


def decoded(name: str, found: Layout, files: Listing, size: int) -> RawData:
    """Return the images of all parts, ``size`` pixels wide, mapped from the cache; they are decoded only if they changed.

    They have one channel if all images of ``train`` are grey. Without a labelled test part, a stratified fifth of ``train`` becomes the
    test part.

    Args:
        name: Name of the data set, for errors.
        found: The images by part; their paths are names that ``files.read`` takes.
        files: The files that contain the images.
        size: Side in pixels.

    Raises:
        SslbenchError: A class is too small to split, an image is corrupt, or the cache cannot be written.
    """
    parts = _with_test_part(name, found)
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
    return replace(parts, train=train, test=[parts.train[at] for at in test])
