"""List and read the files of a tar or tar.gz within limits; members are read at their places in the file."""

import gzip
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench.data.archive import (
    MAX_ENTRIES,
    MAX_RATIO,
    MAX_TOTAL_BYTES,
    check_inside,
    outermost_generated,
    reason,
    refused,
)
from bench.data.files import MAX_FILE_BYTES, Listing, file_state
from bench.data.generated import generated
from bench.data.kinds import is_image
from bench.data.locate import cache_folder
from bench.data.part_names import composed
from bench.errors import SslbenchError
from bench.printable import printable

_GZIP = b"\x1f\x8b"
_USTAR = slice(257, 262)
_BLOCK = 2**20
_SUFFIXES = (".tar", ".tar.gz", ".tgz")


def is_tar(path: Path) -> bool:
    """Return whether a file is a tar or tar.gz, by its name or its first bytes."""
    if path.name.lower().endswith(_SUFFIXES):
        return True
    with path.open("rb") as opened:
        start = opened.read(512)
    return start.startswith(_GZIP) or start[_USTAR] == b"ustar"


@dataclass(frozen=True)
class Member:
    """Place of a file in a tar: offset and size in bytes."""

    offset: int
    size: int


@dataclass(frozen=True)
class Tar:
    """The files of an open tar.

    Attributes:
        path: The tar.
        members: Path of each regular file in it, with ``/``, in the order of the tar.
        folders: Paths of its folders.
        hidden: Number of hidden or generated files and folders, which are left out.
    """

    path: Path
    members: dict[str, Member]
    folders: list[str]
    hidden: int
    _opened: IO[bytes]

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; thread-safe."""
        member = self.members[name]
        data = os.pread(self._opened.fileno(), member.size, member.offset)
        if len(data) != member.size:
            raise SslbenchError(printable(f"{name} in {self.path} is cut off: copy or pack the images again"))
        return data


@contextmanager
def opened_members(path: Path) -> Iterator[Tar]:
    """Open a tar or tar.gz and list its files. A tar.gz is unpacked to a temporary file next to the image cache.

    Raises:
        SslbenchError: It is no tar or a damaged one, passes a limit, or contains a link or a path outside of it; one line.
    """
    with ExitStack() as stack:
        opened: IO[bytes] = stack.enter_context(path.open("rb"))
        if opened.read(2) == _GZIP:
            opened = stack.enter_context(_unpacked(path))
        opened.seek(0)
        try:
            archive = stack.enter_context(tarfile.open(fileobj=opened, mode="r:"))
            members, folders, hidden = _members(path, archive)
        except (SslbenchError, MemoryError):
            raise
        except Exception as cause:  # damaged archives raise many kinds of exceptions
            raise refused(
                path, f"is not a readable tar ({reason(cause)}): use a directory or a complete .tar, .tar.gz or .zip"
            ) from cause
        yield Tar(path, members, folders, hidden, opened)


@contextmanager
def opened_tar(path: Path) -> Iterator[Listing]:
    """List a tar or tar.gz of class folders, which stays open within the context; errors as ``opened_members``."""
    with opened_members(path) as tar:
        names = sorted(tar.members, key=lambda name: (composed(name), name))
        parents = {
            parent.as_posix() for folder in tar.folders for parent in PurePosixPath(folder).parents if parent.name
        }
        yield Listing(
            path,
            names,
            sorted({*tar.folders, *parents}),
            "\n".join([f"{path.resolve()}\0{file_state(path.stat())}", *names]),
            tar.read,
            {"hidden or generated files and folders": tar.hidden},
        )


def _members(path: Path, archive: tarfile.TarFile) -> tuple[dict[str, Member], list[str], int]:
    members: dict[str, Member] = {}
    folders: list[str] = []
    hidden: set[str] = set()
    for number, info in enumerate(archive):
        if number >= MAX_ENTRIES:
            raise refused(path, f"contains more than {MAX_ENTRIES:,} files: unpack it and use the directory")
        name = str(PurePosixPath(info.name))
        check_inside(path, info.name)
        if name == ".":
            continue
        if generated(name):
            hidden.add(outermost_generated(name))
        elif info.isdir():
            folders.append(name)
        elif info.isreg() and not info.issparse():
            if name in members:
                raise refused(path, f"contains {name!r} twice: pack the images again")
            if is_image(name) and info.size > MAX_FILE_BYTES:
                raise refused(
                    path,
                    f"contains {name!r} of {info.size} bytes, more than the {MAX_FILE_BYTES} of an image: remove it",
                )
            members[name] = Member(info.offset_data, info.size)
        elif is_image(name):
            kind = "a link" if info.issym() or info.islnk() else "no regular file"
            raise refused(path, f"contains {name!r}, {kind}: pack the files themselves")
        archive.members = []  # type: ignore[attr-defined]  # otherwise all headers stay in memory
    if not members and not folders:
        raise refused(path, "is an empty tar: pack the images again")
    return members, folders, len(hidden)


def _unpacked(path: Path) -> IO[Any]:
    """Return a temporary file with the content of a tar.gz."""
    limit = max(MAX_TOTAL_BYTES, MAX_RATIO * path.stat().st_size)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # the caller closes it
    except OSError as cause:
        raise SslbenchError(
            f"cannot unpack {path} into {folder}: {cause.strerror or cause}; free space, or set SSLBENCH_CACHE to another folder"
        ) from cause
    try:
        with gzip.open(path) as source:
            while block := source.read(_BLOCK):
                if target.tell() + len(block) > limit:
                    raise refused(
                        path, f"unpacks to more than {limit} bytes, like a zip bomb: unpack it and use the directory"
                    )
                target.write(block)
    except SslbenchError:
        target.close()
        raise
    except OSError as cause:
        target.close()
        if isinstance(cause, gzip.BadGzipFile):
            raise refused(path, f"is not a readable tar.gz ({reason(cause)}): copy or pack it again") from cause
        raise SslbenchError(
            f"cannot unpack {path} into {folder}: {cause.strerror or cause}; free space, or set SSLBENCH_CACHE to another folder"
        ) from cause
    except Exception as cause:
        target.close()
        raise refused(path, f"is not a readable tar.gz ({reason(cause)}): copy or pack it again") from cause
    target.flush()
    return target
