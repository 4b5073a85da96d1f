"""Features of a folder of images, computed and written in parts: ``sslbench embed``."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from bench.atomic import write_whole
from bench.data.decode import decode
from bench.data.decode_all import grey
from bench.data.files import Listing
from bench.data.kinds import Unsupported, is_image
from bench.data.listing import listing
from bench.device import cores, exact_float32
from bench.errors import SslbenchError
from bench.evaluation.features import batch_size
from bench.printable import printable
from bench.views.prepare import prepare
from methods.base import Encoder

REMEDY = "free space, or choose another --out"
FORMATS = (".parquet", ".npz")


@dataclass(frozen=True)
class Block:
    """Features of some images.

    Attributes:
        paths: Path of each image in the folder, with ``/``.
        labels: Name of the folder that directly contains the image; empty for an image at the top.
        features: float32 [images, dim].
    """

    paths: Sequence[str]
    labels: Sequence[str]
    features: NDArray[np.float32]


@dataclass(frozen=True)
class Embedding:
    """The features of all images of a folder, block by block.

    Attributes:
        images: Number of images.
        dim: Number of features.
        blocks: The blocks; they can be taken once.
    """

    images: int
    dim: int
    blocks: Iterator[Block]


@contextmanager
def embedding(encoder: Encoder, folder: Path, device: torch.device) -> Iterator[Embedding]:
    """Give the features of all images of a directory, zip or tar, sorted by their paths; only a block is in memory.

    Raises:
        SslbenchError: There are no images, or one is corrupt.
    """
    with listing(folder) as files:
        names = [name for name in files.names if is_image(name)]
        if not names:
            raise SslbenchError(printable(f"{folder} contains no images"))
        yield Embedding(len(names), encoder.dim, _blocks(encoder.to(device).eval(), files, names, device))


def write(found: Embedding, out: Path) -> None:
    """Write features with ``path`` and ``label`` to a Parquet or npz file, whole or not at all.

    Parquet: one row per image, ``features`` is a list of floats. npz: arrays ``path``, ``label`` and ``features`` [images, dim].

    Raises:
        SslbenchError: pyarrow is not installed, or the file cannot be written.
    """
    if out.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise SslbenchError(
                "a Parquet file needs pyarrow: pip install 'sslbench[parquet]', or end --out in .npz"
            ) from None
        write_whole(out, lambda path: _to_parquet(found, path), REMEDY)
    else:
        write_whole(out, lambda path: _to_npz(found, path), REMEDY)


def _blocks(encoder: Encoder, files: Listing, names: Sequence[str], device: torch.device) -> Iterator[Block]:
    step = batch_size(encoder.input.size)
    with ThreadPoolExecutor(cores()) as pool, torch.no_grad(), exact_float32():
        for start in range(0, len(names), step):
            part = names[start : start + step]
            pixels = np.stack(list(pool.map(lambda name: _pixels(files, name, encoder.input.size), part)))
            images = torch.from_numpy(grey(pixels) if encoder.input.channels == 1 else pixels)
            features = encoder.features(prepare(images, encoder.input, device)).float().cpu().numpy()
            yield Block(part, [PurePosixPath(name).parent.name for name in part], features)


def _pixels(files: Listing, name: str, size: int) -> NDArray[np.uint8]:
    try:
        return decode(files.read(name), size).pixels
    except (Unsupported, ValueError) as cause:
        raise SslbenchError(
            printable(f"{name} in {files.path} is not an image that is read ({cause}): repair or remove it")
        ) from cause


def _to_parquet(found: Embedding, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    kinds = [
        ("path", pyarrow.string()),
        ("label", pyarrow.string()),
        ("features", pyarrow.list_(pyarrow.float32(), found.dim)),
    ]
    with pyarrow.parquet.ParquetWriter(path, pyarrow.schema(kinds)) as writer:
        for block in found.blocks:
            values = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block.features.reshape(-1)), found.dim)
            columns = [pyarrow.array(_text(block.paths)), pyarrow.array(_text(block.labels)), values]
            writer.write_table(pyarrow.table(columns, schema=pyarrow.schema(kinds)))


def _to_npz(found: Embedding, path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}", suffix=".npy") as temporary:
        features = np.lib.format.open_memmap(temporary.name, "w+", np.float32, (found.images, found.dim))
        paths: list[str] = []
        labels: list[str] = []
        for block in found.blocks:
            features[len(paths) : len(paths) + len(block.paths)] = block.features
            paths += _text(block.paths)
            labels += _text(block.labels)
        with path.open("wb") as file:
            np.savez(file, path=np.array(paths), label=np.array(labels), features=features)


def _text(names: Sequence[str]) -> list[str]:
    """Return names as valid Unicode: bytes of a file name that are none become replacement characters."""
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names]
