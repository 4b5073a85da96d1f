"""List and read the files of a directory or zip; nothing is unpacked to disk."""

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.errors import SslbenchError

MAX_FILE_BYTES = 256 * 2**20
"""A larger file is not an image, but a mistake or a zip bomb."""
MAX_TOTAL_BYTES = 16 * 2**30
MAX_RATIO = 100
"""A zip that unpacks to more than ``MAX_TOTAL_BYTES`` and to more than 100 times its size is a zip bomb."""


@dataclass(frozen=True)
class Listing:
    """The files of a directory or zip.

    Attributes:
        path: The directory or zip.
        names: Paths of the files in it, with ``/``, sorted; without hidden files.
        fingerprint: Hex hash of names, sizes, and modification times (directory) or checksums (zip).
        read: Path of a file -> its bytes; thread-safe; raises SslbenchError with the name of the file.
    """

    path: Path
    names: list[str]
    fingerprint: str
    read: Callable[[str], bytes]


@contextmanager
def listing(path: Path) -> Iterator[Listing]:
    """List a directory or zip; the zip stays open within the context.

    Raises:
        SslbenchError: The path does not exist, is neither, is corrupt, or is not safe to read.
    """
    if path.is_dir():
        yield _directory(path)
    elif path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as cause:
            raise SslbenchError(f"{path} is not a readable zip ({cause}): use a directory or a complete zip") from cause
        with archive:
            yield _zip(path, archive)
    else:
        raise SslbenchError(f"{path} does not exist: write folder:PATH with the path of a directory or zip of images")


def hidden(name: str) -> bool:
    """Return whether a path contains a hidden or system file or folder: dot files, resource forks of macOS, thumbnails of Windows."""
    return any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db", "desktop.ini") for part in name.split("/"))


def _directory(path: Path) -> Listing:
    files: dict[str, os.stat_result] = {}
    for folder, folders, file_names in os.walk(path, followlinks=True, onerror=_unreadable):
        folders[:] = [name for name in folders if not hidden(name) and not _links_to_parent(Path(folder, name))]
        for file_name in file_names:
            file = Path(folder, file_name)
            try:
                state = file.stat()
            except OSError as cause:
                raise SslbenchError(f"{file} cannot be read ({cause.strerror}): repair or remove it") from cause
            if stat.S_ISREG(state.st_mode) and not hidden(file_name):
                files[file.relative_to(path).as_posix()] = state

    def read(name: str) -> bytes:
        try:
            if files[name].st_size > MAX_FILE_BYTES:
                raise SslbenchError(
                    f"{path / name} has {files[name].st_size} bytes, more than an image may have: remove it"
                )
            return (path / name).read_bytes()
        except OSError as cause:
            raise SslbenchError(f"{path / name} cannot be read ({cause.strerror}): repair or remove it") from cause

    names = sorted(files)
    lines = [f"{name}\0{files[name].st_size}\0{files[name].st_mtime_ns}" for name in names]
    return Listing(path, names, _hash([str(path.resolve()), *lines]), read)


def _zip(path: Path, archive: zipfile.ZipFile) -> Listing:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        _check_safe(path, name, member)
        if name.endswith("/") or hidden(name):
            continue
        if name in members:
            raise SslbenchError(f"{path} contains {name} twice: zip it again")
        members[name] = member
    total = sum(member.file_size for member in members.values())
    if total > max(MAX_TOTAL_BYTES, MAX_RATIO * path.stat().st_size):
        raise SslbenchError(
            f"{path} would unpack to {total} bytes, like a zip bomb: save the images as JPEG or PNG, or unpack it"
        )

    def read(name: str) -> bytes:
        try:
            return archive.read(members[name])
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as cause:
            raise SslbenchError(f"{name} in {path} is corrupt ({cause}): zip the images again") from cause

    names = sorted(members)
    return Listing(
        path, names, _hash([f"{name}\0{members[name].file_size}\0{members[name].CRC}" for name in names]), read
    )


def _check_safe(path: Path, name: str, member: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise SslbenchError(
            f"{path} contains {name!r}, a path outside the archive: do not trust it, or zip the images again"
        )
    if any(ord(character) < 32 for character in name):
        raise SslbenchError(f"{path} contains {name!r}, a name with control characters: zip the images again")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise SslbenchError(f"{path} contains {name!r}, a symbolic link: zip the files themselves")
    if member.flag_bits & 1:
        raise SslbenchError(f"{path} is encrypted ({name!r}): zip the images without a password")
    if member.file_size > MAX_FILE_BYTES:
        raise SslbenchError(
            f"{path} contains {name!r} of {member.file_size} bytes, more than an image may have: remove it"
        )


def _links_to_parent(folder: Path) -> bool:
    return folder.is_symlink() and any(parent.samefile(folder) for parent in folder.parents)


def _unreadable(cause: OSError) -> None:
    raise SslbenchError(f"{cause.filename} cannot be read ({cause.strerror}): repair or remove it") from cause


def _hash(lines: list[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
