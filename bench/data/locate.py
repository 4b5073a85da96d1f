"""Where the files of a data set lie: the folder that the user names, then what was downloaded. Imports no torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from bench.data.catalogue import FOLDER, resolve


@dataclass(frozen=True)
class Form:
    """One form in which a data set is handed out.

    Attributes:
        folder: Relative to the root.
        files: What must lie in it; a file may also lie there with ``.gz``.
        largest: Image size up to which it serves without being enlarged; None where sizes stand fast.
    """

    folder: str
    files: tuple[str, ...]
    largest: int | None = None

    def fits(self, image_size: int) -> bool:
        """Return whether its images need not be enlarged."""
        return self.largest is None or image_size <= self.largest

    def lies_under(self, root: Path) -> bool:
        """Return whether all of it is there."""
        return all(present(root / self.folder / name) is not None for name in self.files)


_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_CIFAR10 = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")

FORMS: dict[str, tuple[Form, ...]] = {
    "mnist": (Form("MNIST/raw", _IDX),),
    "fashion_mnist": (Form("FashionMNIST/raw", _IDX),),
    "kmnist": (Form("KMNIST/raw", _IDX),),
    "cifar10": (
        Form("cifar-10-batches-bin", tuple(f"{name}.bin" for name in _CIFAR10)),
        Form("cifar-10-batches-py", _CIFAR10),
    ),
    "cifar100": (
        Form("cifar-100-binary", ("train.bin", "test.bin")),
        Form("cifar-100-python", ("train", "test")),
    ),
    "stl10": (Form("stl10_binary", ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin")),),
    "imagenette": (
        Form("imagenette2-160", ("train", "val"), 160),
        Form("imagenette2-320", ("train", "val"), 320),
        Form("imagenette2", ("train", "val")),
    ),
}
"""The forms that are read, the preferred one first."""


def cache_folder() -> Path:
    """Return the folder of downloads and decoded images: ``SSLBENCH_CACHE``, or the user's cache directory."""
    named = os.environ.get("SSLBENCH_CACHE")
    return Path(named) if named else user_cache_path("sslbench")


def download_folder() -> Path:
    """Return where downloads go: never into a folder that the user named."""
    return cache_folder() / "downloads"


def roots(data_root: Path | None) -> list[Path]:
    """Return the folders to look in: ``data_root``, or ``SSLBENCH_DATA`` where that is None; then the downloads."""
    named = data_root or os.environ.get("SSLBENCH_DATA") or None
    return [*([Path(named).expanduser()] if named else []), download_folder()]


def present(path: Path) -> Path | None:
    """Return the path, or the one with ``.gz``, whichever is there; None where neither is."""
    packed = path.with_name(f"{path.name}.gz")
    return path if path.exists() else packed if packed.exists() else None


def find(name: str, folders: Sequence[Path], image_size: int = 0) -> Path | None:
    """Return the folder that holds all files of a data set in one of its forms, or None.

    Args:
        name: Of a published data set.
        folders: Where to look, in this order.
        image_size: What the images will be resized to, where they are.
    """
    for root in folders:
        for form in FORMS[name]:
            if form.fits(image_size) and form.lies_under(root):
                return root / form.folder
    return None


def available(name: str, data_root: Path | None = None) -> str | None:
    """Return where a data set was found, in words for a table; None where it must be downloaded.

    Raises:
        SslbenchError: The name is unknown.
    """
    resolve(name)
    if name == "digits":
        return "in scikit-learn"
    if name.startswith(FOLDER):
        path = Path(name.removeprefix(FOLDER)).expanduser()
        return str(path) if path.exists() else None
    found = find(name, roots(data_root))
    return str(found) if found else None
