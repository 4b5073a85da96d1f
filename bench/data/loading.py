"""From the name that the user gave to a data set: find the files, fetch them where they are missing, read, split."""

from dataclasses import replace
from pathlib import Path

from bench.data import cifar, digits, folder, imagenette, mnist, stl10
from bench.data.assemble import assemble
from bench.data.catalogue import FOLDER, Entry, resolve
from bench.data.dataset import Dataset
from bench.data.development import development as development_task
from bench.data.download import download
from bench.data.locate import find, roots
from bench.data.raw import RawData
from bench.errors import SslbenchError

SIZES = range(8, 1025)


def load(
    name: str,
    *,
    data_root: Path | None = None,
    image_size: int | None = None,
    flip: bool | None = None,
    development: bool = False,
) -> Dataset:
    """Return a data set.

    Its name is the one given, but for ``folder:PATH``, which becomes a slug with eight digits of the content's hash, and for
    ``imagenette`` of another size, which has the size behind it: records of different tasks never share a name.

    Args:
        name: As in the catalogue, or ``folder:PATH``.
        data_root: Where its files are; ``SSLBENCH_DATA`` where that is None. Nothing is written into it.
        image_size: Side in pixels, only for data sets that are resized; None for their default.
        flip: Whether a mirrored image keeps its class, only for ``folder:PATH``; None for yes.
        development: Return the development task instead.

    Raises:
        SslbenchError: The name is unknown, an option does not fit it, or its files are missing, corrupt or too few.
    """
    entry = resolve(name)
    size = _size(name, entry, image_size)
    is_folder = name.startswith(FOLDER)
    if flip not in (None, entry.horizontal_flip) and not is_folder:
        raise SslbenchError(
            f"{name} is published, whether it may be flipped stands fast: use --no-flip with {FOLDER}PATH alone"
        )
    flips = entry.horizontal_flip if flip is None else flip
    try:
        if is_folder:
            path = Path(name.removeprefix(FOLDER)).expanduser()
            dataset = assemble(name, folder.read(path, size), flips)
            dataset = replace(dataset, name=folder.name_of(path, dataset.fingerprint))
        else:
            label = name if size == entry.size else f"{name}-{size}"
            dataset = assemble(label, _read(name, data_root, size), flips)
    except OSError as cause:
        raise SslbenchError(
            f"{name}: {cause.filename} cannot be read ({cause.strerror}): check the path and its rights"
        ) from cause
    return development_task(dataset) if development else dataset


def _size(name: str, entry: Entry, image_size: int | None) -> int:
    if image_size is None or image_size == entry.size:
        return entry.size
    if not entry.resized:
        raise SslbenchError(f"{name} has images of {entry.size} pixels: leave --image-size out")
    if image_size not in SIZES:
        raise SslbenchError(f"--image-size {image_size} is not one of {SIZES[0]} to {SIZES[-1]} pixels")
    return image_size


def _read(name: str, data_root: Path | None, size: int) -> RawData:
    if name == "digits":
        return digits.read()
    looked_in = roots(data_root)
    path = find(name, looked_in, size) or download(name, size, looked_in)
    match name:
        case "cifar10" | "cifar100":
            source = cifar.read(name, path)
        case "stl10":
            source = stl10.read(path)
        case "imagenette":
            source = imagenette.read(path, size)
        case _:
            source = mnist.read(name, path)
    _require_whole(resolve(name), source, path)
    return source


def _require_whole(entry: Entry, source: RawData, path: Path) -> None:
    """Refuse what is not the published set: a result on a part of it must not bear its name."""
    parts = (
        ("train", source.train_images, entry.train),
        ("test", source.test_images, entry.test),
        ("unlabelled", source.unlabelled_images, entry.unlabelled),
    )
    for part, images, published in parts:
        count = 0 if images is None else len(images)
        if count != published:
            raise SslbenchError(
                f"{path} has {count} images of {part}, {entry.title} has {published}: fetch it whole, or name images of your own by {FOLDER}PATH"
            )
