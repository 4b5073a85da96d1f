"""Download data sets with torchvision into the cache, never into the user's data folder."""

import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError

from filelock import FileLock

from bench.data.catalogue import Download, Form, resolve
from bench.data.locate import complete, download_folder, find
from bench.errors import SslbenchError

_TIMEOUT = 30
"""Seconds to wait for an answer of the server."""


def download(name: str, image_size: int, searched: Sequence[Path]) -> Path:
    """Download a data set and return the folder of its files; if two processes ask for it, one of them downloads it.

    Args:
        name: Name of a published data set.
        image_size: Size in pixels; the first form that fits is downloaded.
        searched: Folders without its files, for the error message.

    Raises:
        SslbenchError: The download failed; the message says which files to put where.
    """
    target = download_folder()
    form = next((form for form in resolve(name).forms if form.download and form.fits(image_size)), None)
    if form is None or form.download is None:
        raise SslbenchError(f"{name}: {_advice(name, image_size, searched)}; it cannot be downloaded automatically")
    timeout = socket.getdefaulttimeout()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / f"{name}.lock"):
            if (found := find(name, [target], image_size)) is None:
                print(f"{name}: no files found, downloading them to {target}", file=sys.stderr)
                socket.setdefaulttimeout(_TIMEOUT)
                with TemporaryDirectory(prefix=f"{name}-", dir=target) as temporary:
                    _fetch(form.download, Path(temporary))
                    found = _move(form, Path(temporary), target)
    except (URLError, OSError, RuntimeError) as cause:
        reason = " ".join(str(cause).split())
        raise SslbenchError(f"{name}: {_advice(name, image_size, searched)}; the download failed ({reason})") from cause
    finally:
        socket.setdefaulttimeout(timeout)
    if found is None:
        raise SslbenchError(f"{name}: {_advice(name, image_size, searched)}; the download was incomplete")
    return found


def _fetch(download: Download, target: Path) -> None:
    from torchvision import datasets  # slow to import, and only needed for downloads

    getattr(datasets, download.torchvision)(target, download=True, **download.arguments)


def _move(form: Form, temporary: Path, target: Path) -> Path | None:
    """Move a complete download with one rename, so that an interrupted one is never mistaken for a data set."""
    if not complete(form, temporary):
        return None
    final = target / form.folder
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        shutil.rmtree(final)
    return (temporary / form.folder).rename(final)


def _advice(name: str, image_size: int, searched: Sequence[Path]) -> str:
    form = next(form for form in resolve(name).forms if form.fits(image_size))
    folders = " or ".join(str(root / form.folder) for root in searched)
    return f"no {', '.join(form.files)} in {folders}: put them into {form.folder}/ in the folder that --data-root or SSLBENCH_DATA names"
