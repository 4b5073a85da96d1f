"""Read a user's own images from a directory, zip or tar."""

from pathlib import Path

from bench.data.layout import layout
from bench.data.listing import listing
from bench.data.parts import decoded
from bench.data.raw import RawData


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images of a directory or archive, ``size`` pixels wide, mapped from the cache; ``name`` is only used in errors.

    Raises:
        SslbenchError: The folder does not exist, is not safe to read, has too few classes or contains a corrupt image, or the cache
            cannot be written.
    """
    with listing(folder) as files:
        return decoded(name, layout(files.names, str(folder), files.folders), files, size)
