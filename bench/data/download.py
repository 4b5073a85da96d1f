"""Downloads by torchvision, into the cache: never into a folder that the user named."""

import shutil
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError

from filelock import FileLock

from bench.data.locate import FORMS, download_folder, find
from bench.errors import SslbenchError

_SECONDS = 30
"""How long a server may stay silent."""


def download(name: str, image_size: int, looked_in: list[Path]) -> Path:
    """Fetch a data set and return the folder of its files; two processes fetch it once.

    Args:
        name: Of a published data set.
        image_size: For ``imagenette``: the least of its archives that is as large is taken.
        looked_in: Where its files are not, to say so in the error.

    Raises:
        SslbenchError: It could not be fetched; the message says what to put where.
    """
    target = download_folder()
    silent = socket.getdefaulttimeout()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with FileLock(target / f"{name}.lock"):
            if (found := find(name, [target], image_size)) is None:
                print(f"{name}: no files found, downloading them to {target}", file=sys.stderr)
                socket.setdefaulttimeout(_SECONDS)
                with TemporaryDirectory(prefix=f"{name}-", dir=target) as part:
                    _fetch(name, Path(part), image_size)
                    found = _move(name, Path(part), target)
    except (URLError, OSError, RuntimeError) as cause:
        raise SslbenchError(
            f"{name}: {_advice(name, image_size, looked_in)}; its download failed ({' '.join(str(cause).split())})"
        ) from cause
    finally:
        socket.setdefaulttimeout(silent)
    if found is None:
        raise SslbenchError(f"{name}: {_advice(name, image_size, looked_in)}; its download was not whole")
    return found


def _fetch(name: str, target: Path, image_size: int) -> None:
    from torchvision import datasets  # takes a second, and who has the files does without

    match name:
        case "mnist":
            datasets.MNIST(target, download=True)
        case "fashion_mnist":
            datasets.FashionMNIST(target, download=True)
        case "kmnist":
            datasets.KMNIST(target, download=True)
        case "cifar10":
            datasets.CIFAR10(target, download=True)
        case "cifar100":
            datasets.CIFAR100(target, download=True)
        case "stl10":
            datasets.STL10(target, split="unlabeled", download=True)
        case "imagenette":
            size = "160px" if image_size <= 160 else "320px" if image_size <= 320 else "full"
            datasets.Imagenette(target, size=size, download=True)
        case _:
            raise SslbenchError(f"{name} has no download: see `sslbench list datasets`")


def _move(name: str, part: Path, target: Path) -> Path | None:
    """Move the files in one step: a download that breaks off, even while it unpacks, is never taken for a whole one."""
    source = find(name, [part])
    if source is None:
        return None
    final = target / source.relative_to(part)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        shutil.rmtree(final)
    return source.rename(final)


def _advice(name: str, image_size: int, looked_in: list[Path]) -> str:
    form = next(form for form in FORMS[name] if form.fits(image_size))
    places = " or ".join(str(root / form.folder) for root in looked_in)
    return f"no {', '.join(form.files)} in {places}: put them into {form.folder}/ of a folder that --data-root or SSLBENCH_DATA names"
