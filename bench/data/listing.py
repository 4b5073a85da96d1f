"""The files of a directory or zip, by their path inside it; nothing is ever unpacked to disk."""

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
"""No image is larger: what is, is a mistake or a zip bomb."""
MAX_TOTAL_BYTES = 16 * 2**30
MAX_RATIO = 100
"""A zip that unpacks to more than both is a zip bomb: photographs do not compress a hundredfold."""


@dataclass(frozen=True)
class Listing:
    """What lies in a directory or zip.

    Attributes:
        path: The directory or zip.
        names: Paths inside it, with ``/``, sorted; no directories, no hidden files.
        fingerprint: Hex hash of names, sizes, and modification times (directory) or checksums (zip).
        read: Path inside -> its bytes; may be called from several threads; raises SslbenchError that names the file.
    """

    path: Path
    names: list[str]
    fingerprint: str
    read: Callable[[str], bytes]


@contextmanager
def listing(path: Path) -> Iterator[Listing]:
    """List a directory or zip; the zip is open as long as the context.

    Raises:
        SslbenchError: It is not there, is neither, is corrupt, or is not safe to read.
    """
    if path.is_dir():
        yield _directory(path)
    elif path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as cause:
            raise SslbenchError(
                f"{path} is no zip that can be read ({cause}): name a directory or a whole zip"
            ) from cause
        with archive:
            yield _zip(path, archive)
    else:
        raise SslbenchError(f"{path} is not there: name a directory or zip of images after folder:")


def hidden(name: str) -> bool:
    """Return whether a path inside has a part that no user put there: dot files, the resource forks of macOS, Windows's thumbnails."""
    return any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db", "desktop.ini") for part in name.split("/"))


def _directory(path: Path) -> Listing:
    files: dict[str, os.stat_result] = {}
    for folder, folders, leaves in os.walk(path, followlinks=True, onerror=_unreadable):
        folders[:] = [name for name in folders if not hidden(name) and not _links_above(Path(folder, name))]
        for leaf in leaves:
            file = Path(folder, leaf)
            try:
                state = file.stat()
            except OSError as cause:
                raise SslbenchError(f"{file} cannot be read ({cause.strerror}): repair or remove it") from cause
            if stat.S_ISREG(state.st_mode) and not hidden(leaf):
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
        _refuse_unsafe(path, name, member)
        if name.endswith("/") or hidden(name):
            continue
        if name in members:
            raise SslbenchError(f"{path} holds {name} twice: pack it again")
        members[name] = member
    total = sum(member.file_size for member in members.values())
    if total > max(MAX_TOTAL_BYTES, MAX_RATIO * path.stat().st_size):
        raise SslbenchError(
            f"{path} would unpack to {total} bytes, like a zip bomb: pack the images as JPEG or PNG, or unpack it"
        )

    def read(name: str) -> bytes:
        try:
            return archive.read(members[name])
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as cause:
            raise SslbenchError(f"{name} in {path} is corrupt ({cause}): pack the zip again") from cause

    names = sorted(members)
    return Listing(
        path, names, _hash([f"{name}\0{members[name].file_size}\0{members[name].CRC}" for name in names]), read
    )


def _refuse_unsafe(path: Path, name: str, member: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise SslbenchError(f"{path} holds {name!r}, a path that leaves the archive: do not trust it, or pack it again")
    if any(ord(character) < 32 for character in name):
        raise SslbenchError(f"{path} holds {name!r}, a name with control characters: pack it again")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise SslbenchError(f"{path} holds {name!r}, a symbolic link: pack the files themselves")
    if member.flag_bits & 1:
        raise SslbenchError(f"{path} is encrypted ({name!r}): pack it without a password")
    if member.file_size > MAX_FILE_BYTES:
        raise SslbenchError(
            f"{path} holds {name!r} of {member.file_size} bytes, more than an image may have: remove it"
        )


def _links_above(folder: Path) -> bool:
    return folder.is_symlink() and any(above.samefile(folder) for above in folder.parents)


def _unreadable(cause: OSError) -> None:
    raise SslbenchError(f"{cause.filename} cannot be read ({cause.strerror}): repair or remove it") from cause


def _hash(lines: list[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
