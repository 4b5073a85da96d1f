"""Files of a results folder that may be damaged or no files at all: opened without waiting, and set aside by renaming."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from bench.errors import StorageError


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; a device, a pipe or a folder is never read, also not behind a link.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It is no regular file, or cannot be opened.
    """
    # A device may act when it is opened, so it is recognised before; it may be exchanged in between, so also after.
    _check_regular(path.stat())
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(os.fstat(handle))
        return os.fdopen(handle, "rb")
    except OSError:
        os.close(handle)
        raise


def append_text(path: Path, text: str) -> None:
    """Append text to a regular file, which is created if it is missing; a link is never followed.

    Raises:
        OSError: It is a link or no regular file, or it cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise OSError("it is a link")
    if path.exists():
        _check_regular(path.lstat())
    handle = os.open(path, flags, 0o666)
    try:
        _check_regular(os.fstat(handle))
        os.write(handle, text.encode(errors="backslashreplace"))
    finally:
        os.close(handle)


def set_aside(path: Path, word: str) -> str:
    """Rename a file to ``NAME.WORD-N`` and return its new name.

    Raises:
        StorageError: It cannot be renamed.
    """
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.{word}-{number}")):
        number += 1
    try:
        path.rename(kept)
    except OSError as error:
        raise StorageError(f"cannot rename {path}: {error.strerror or error}; move it to another folder") from error
    return kept.name


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
