"""``Listing``: the files of a directory or zip; limits on their number and size; what identifies the state of a file."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import SslbenchError
from bench.printable import printable

MAX_FILE_BYTES = 256 * 2**20
"""A larger file is not an image, but a mistake or a zip bomb."""
MAX_FILES = 5_000_000
"""Files and folders of a directory."""


@dataclass(frozen=True)
class Listing:
    """The files of a directory or zip.

    Attributes:
        path: The directory or zip.
        names: Paths of the files in it, with ``/``, sorted by their composed form; without hidden and generated files.
        folders: Paths of the folders in it, with ``/``; without hidden and generated ones.
        state: Text that changes whenever a file changes: names and, of each file of a directory or of the zip, ``file_state``.
        read: Path of a file -> its bytes; thread-safe; raises SslbenchError with the name of the file.
        left_out: Kind -> number of files that are not in ``names``; 0 if there are none.
    """

    path: Path
    names: Sequence[str]
    folders: Sequence[str]
    state: str
    read: Callable[[str], bytes]
    left_out: Mapping[str, int]


def file_state(state: os.stat_result) -> str:
    """Return a text that changes whenever a file is replaced or written, even if size and modification time stay the same.

    Programs can set the modification time (``cp -p``, ``rsync -t``, ``unzip``), but not the time of the last change of the inode. The
    text also changes with a copy or a new name, so the images are then decoded once more.
    """
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino} {state.st_dev}"


def read_listed(file: Path, listed: os.stat_result) -> bytes:
    """Return the bytes of a file, unless it is another one than was listed.

    Raises:
        SslbenchError: The file is too large or changed since it was listed.
        OSError: It cannot be read.
    """
    if listed.st_size > MAX_FILE_BYTES:
        raise SslbenchError(
            printable(f"{file} has {listed.st_size} bytes, more than the {MAX_FILE_BYTES} of an image: remove it")
        )
    with os.fdopen(
        os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as opened:
        data = opened.read(listed.st_size + 1)
        if file_state(os.fstat(opened.fileno())) != file_state(listed) or len(data) != listed.st_size:
            raise SslbenchError(
                printable(f"{file} changed while the images were read: start again when nothing writes them")
            )
    return data
