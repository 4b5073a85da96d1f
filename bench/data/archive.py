"""List and read the images of a zip within limits, whatever the zip declares."""

import io
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bench.data.files import MAX_FILE_BYTES, Listing, file_state
from bench.data.generated import generated
from bench.data.kinds import is_image
from bench.data.part_names import composed
from bench.errors import SslbenchError
from bench.printable import printable

MAX_ENTRIES = 500_000
"""Files in a zip; Python needs about 1 KB of memory for each."""
MAX_LIST_BYTES = 2 * MAX_FILE_BYTES
MAX_TOTAL_BYTES = 16 * 2**30
MAX_RATIO = 100
"""A zip that unpacks to more than ``MAX_TOTAL_BYTES`` and to more than 100 times its size is a zip bomb."""
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
"""Methods that are unpacked in bounded memory; Python unpacks bzip2 and LZMA without a bound."""
_OTHER_METHODS = {
    zipfile.ZIP_BZIP2: "bzip2",
    zipfile.ZIP_LZMA: "LZMA",
    9: "Deflate64",
    93: "Zstandard",
    95: "xz",
    98: "PPMd",
    99: "AES",
}
_ENTRY = b"PK\x01\x02"


@contextmanager
def opened_zip(path: Path) -> Iterator[Listing]:
    """List a zip, which stays open within the context.

    Raises:
        SslbenchError: The file is no zip or a damaged one, passes a limit, or is not safe to read; always one line.
    """
    try:
        archive = zipfile.ZipFile(_BoundedFile(path))
    except (SslbenchError, MemoryError):
        raise
    except Exception as cause:  # damaged zips raise many kinds of exceptions
        raise SslbenchError(
            f"{path} is not a readable zip ({reason(cause)}): use a directory or a complete zip; unpack archives of other kinds"
        ) from cause
    with archive:
        yield _listing(path, archive)


class _BoundedFile(io.BufferedReader):
    """A zip file whose list of files is refused before it is parsed if it is too long; it is read in one piece."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._path = path

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_LIST_BYTES:
            raise SslbenchError(
                f"{self._path} is damaged: its list of files would have {size} bytes: zip the images again"
            )
        data = super().read(size)
        if len(data) > len(_ENTRY) * MAX_ENTRIES and data.count(_ENTRY) > MAX_ENTRIES:
            raise SslbenchError(
                f"{self._path} contains more than {MAX_ENTRIES:,} files: unpack it and use the directory"
            )
        return data


def _listing(path: Path, archive: zipfile.ZipFile) -> Listing:
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    hidden: set[str] = set()
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        check_inside(path, name)
        if generated(name):
            hidden.add(outermost_generated(name))
        elif name.endswith("/"):
            folders.add(name.rstrip("/"))
        else:
            _check_safe(path, name, member)
            if name in members:
                raise refused(path, f"contains {name!r} twice: zip the images again")
            members[name] = member
    total = sum(member.file_size for member in members.values())
    if total > max(MAX_TOTAL_BYTES, MAX_RATIO * path.stat().st_size):
        raise refused(
            path, f"would unpack to {total} bytes, like a zip bomb: save the images as JPEG or PNG, or unpack it"
        )

    def read(name: str) -> bytes:
        member = members[name]
        try:
            with archive.open(member) as opened:
                data = opened.read(member.file_size + 1)
            if len(data) != member.file_size:
                raise zipfile.BadZipFile(f"{len(data)} bytes instead of {member.file_size}")
            return data
        except MemoryError:
            raise
        except Exception as cause:  # damaged zips raise many kinds of exceptions
            raise SslbenchError(
                printable(f"{name} in {path} is corrupt ({reason(cause)}): zip the images again")
            ) from cause

    names = sorted(members, key=lambda name: (composed(name), name))
    folders |= {parent.as_posix() for folder in folders for parent in PurePosixPath(folder).parents if parent.name}
    return Listing(
        path,
        names,
        sorted(folders),
        "\n".join([f"{path.resolve()}\0{file_state(path.stat())}", *names]),
        read,
        {"hidden or generated files and folders": len(hidden)},
    )


def check_inside(path: Path, name: str) -> None:
    """Raise SslbenchError if a name in an archive leads out of it or has control characters."""
    if any(ord(character) < 32 for character in name):
        raise refused(path, f"contains {name!r}, a name with control characters: pack the images again")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or (parts and parts[0].endswith(":")):
        raise refused(path, f"contains {name!r}, a path outside the archive: do not trust it, or zip the images again")


def _check_safe(path: Path, name: str, member: zipfile.ZipInfo) -> None:
    if not is_image(name):
        return
    if stat.S_ISLNK(member.external_attr >> 16):
        raise refused(path, f"contains {name!r}, a symbolic link: zip the files themselves")
    if member.flag_bits & 1:
        raise refused(path, f"is encrypted ({name!r}): zip the images without a password")
    if member.compress_type not in _METHODS:
        method = _OTHER_METHODS.get(member.compress_type, f"method {member.compress_type}")
        raise refused(
            path,
            f"contains {name!r}, compressed by {method}, which is not supported: zip the images with Deflate, or unpack them",
        )
    if member.file_size > MAX_FILE_BYTES:
        raise refused(
            path,
            f"contains {name!r} of {member.file_size} bytes, more than the {MAX_FILE_BYTES} of an image: remove it",
        )


def outermost_generated(name: str) -> str:
    """Return the path up to the first hidden or generated folder, which counts once, as in a directory."""
    parts = name.split("/")
    end = next(number for number, part in enumerate(parts) if generated(part))
    return "/".join(parts[: end + 1])


def refused(path: Path, text: str) -> SslbenchError:
    """Return the error for an archive that is not read: its path and the reason, as one line."""
    return SslbenchError(printable(f"{path} {text}"))


def reason(cause: Exception) -> str:
    """Return the text of an exception as one short line."""
    return printable(" ".join(str(cause).split()) or type(cause).__name__, 200)
