"""Find the files of a data set: in the folder that the user chose, then among the downloads. Imports no torch."""

import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path

from bench.data.catalogue import Form, location, resolve
from bench.errors import SslbenchError


def expanded(path: Path) -> Path:
    """Return a path with ``~`` or ``~user`` at its start replaced by the home directory.

    Raises:
        SslbenchError: There is no such user, or the user has no home directory.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise SslbenchError(
            f"{path}: {path.parts[0]} has no home directory on this machine; write the path in full"
        ) from None


def cache_folder() -> Path:
    """Return the folder of downloads and decoded images: ``SSLBENCH_CACHE``, or the user's cache directory."""
    chosen = os.environ.get("SSLBENCH_CACHE")
    return Path(chosen) if chosen else user_cache_path("sslbench")


def download_folder() -> Path:
    """Return the folder of downloads; it is never the user's data folder."""
    return cache_folder() / "downloads"


def roots(data_root: Path | None) -> list[Path]:
    """Return the folders to search: ``data_root``, or ``SSLBENCH_DATA`` if that is None; then the downloads."""
    chosen = data_root or os.environ.get("SSLBENCH_DATA") or None
    return [*([expanded(Path(chosen))] if chosen else []), download_folder()]


def own_path(name: str) -> Path:
    """Return the path in the name of a user's own images, for example of ``folder:PATH``; errors as ``expanded``."""
    return expanded(Path(location(name)))


def present(path: Path) -> Path | None:
    """Return the path of a file under one of its names, or None: as published, with ``.gz``, or as some programs unpack idx files.

    7-Zip and Safari write ``train-images.idx3-ubyte`` instead of ``train-images-idx3-ubyte``.
    """
    names = dict.fromkeys((path.name, path.name.replace("-idx", ".idx")))
    candidates = (path.with_name(name + ending) for ending in ("", ".gz") for name in names)
    return next((candidate for candidate in candidates if candidate.exists()), None)


def complete(form: Form, root: Path) -> bool:
    """Return whether all files of a form are in its folder under ``root``."""
    return all(present(root / form.folder / file) is not None for file in form.files)


def find(name: str, folders: Sequence[Path], image_size: int = 0) -> Path | None:
    """Return the folder that holds all files of a data set in one of its forms, or None.

    Args:
        name: Name of a published data set.
        folders: Folders to search, in this order.
        image_size: Size to which the images will be resized, in pixels; 0 accepts every form.
    """
    for root in folders:
        for form in resolve(name).forms:
            if form.fits(image_size) and complete(form, root):
                return root / form.folder
    return None


def available(name: str, data_root: Path | None = None) -> str | None:
    """Return where a data set was found, as text for a table; None if it must be downloaded.

    Raises:
        SslbenchError: The name is unknown.
    """
    entry = resolve(name)
    if entry.package is not None:
        return f"in {entry.package}"
    if entry.prefix is not None:
        return str(own_path(name)) if own_path(name).exists() else None
    found = find(name, roots(data_root))
    return str(found) if found else None
