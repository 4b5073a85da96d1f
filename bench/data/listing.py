"""List and read the files of a directory, zip or tar."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data.archive import opened_zip
from bench.data.files import MAX_FILES, Listing, file_state, read_listed
from bench.data.generated import generated
from bench.data.kinds import is_image
from bench.data.part_names import composed
from bench.data.tar import is_tar, opened_tar
from bench.errors import SslbenchError
from bench.printable import printable

MAX_VISITS = 64
"""Links may lead to one folder from so many places; more are a net of links without end."""


@contextmanager
def listing(path: Path) -> Iterator[Listing]:
    """List a directory, zip or tar; an archive stays open within the context.

    Raises:
        SslbenchError: The path does not exist, is neither, is corrupt, is larger than the limits allow, or is not safe to read.
    """
    if path.is_dir():
        yield _directory(path)
    elif path.is_file():
        with (opened_tar if is_tar(path) else opened_zip)(path) as files:
            yield files
    else:
        problem = "is neither a directory nor a file" if path.exists() else "does not exist"
        raise SslbenchError(
            printable(f"{path} {problem}: write folder:PATH with the path of a directory, zip or tar of images")
        )


def _directory(path: Path) -> Listing:
    files: dict[str, os.stat_result] = {}
    all_folders: list[str] = []
    left_out = {
        "hidden or generated files and folders": 0,
        "links that lead nowhere": 0,
        "pipes, sockets and devices": 0,
    }
    visits: dict[tuple[int, int], int] = {}
    for folder, folders, file_names in os.walk(path, followlinks=True, onerror=_unreadable):
        _check_visits(Path(folder), visits)
        left_out["hidden or generated files and folders"] += sum(map(generated, [*folders, *file_names]))
        folders[:] = [name for name in folders if not generated(name) and not _links_to_parent(Path(folder, name))]
        relative = Path(folder).relative_to(path)
        all_folders += [(relative / name).as_posix() for name in folders]
        for file_name in file_names:
            if generated(file_name):
                continue
            file = Path(folder, file_name)
            try:
                state = file.stat()
            except OSError as cause:
                if file.is_symlink() and not is_image(file_name):
                    left_out["links that lead nowhere"] += 1
                    continue
                raise _cannot_read(file, cause) from cause
            if stat.S_ISREG(state.st_mode):
                files[(relative / file_name).as_posix()] = state
            else:
                left_out["pipes, sockets and devices"] += 1
        if len(files) + len(all_folders) > MAX_FILES:
            raise SslbenchError(f"{path} contains more than {MAX_FILES:,} files and folders: leave some out")

    def read(name: str) -> bytes:
        try:
            return read_listed(path / name, files[name])
        except OSError as cause:
            raise _cannot_read(path / name, cause) from cause

    names = sorted(files, key=_order)
    states = [str(path.resolve()), *(f"{name}\0{file_state(files[name])}" for name in names)]
    return Listing(path, names, all_folders, "\n".join(states), read, left_out)


def _order(name: str) -> tuple[str, str]:
    """Sort names as people see them, so that the order is the same on macOS and Linux."""
    return composed(name), name


def _check_visits(folder: Path, visits: dict[tuple[int, int], int]) -> None:
    state = folder.stat()
    place = (state.st_dev, state.st_ino)
    visits[place] = visits.get(place, 0) + 1
    if visits[place] > MAX_VISITS:
        raise SslbenchError(
            printable(f"{folder} is reached in more than {MAX_VISITS} ways by symbolic links: remove the links")
        )


def _links_to_parent(folder: Path) -> bool:
    return folder.is_symlink() and any(parent.samefile(folder) for parent in folder.parents)


def _cannot_read(file: Path, cause: OSError) -> SslbenchError:
    return SslbenchError(printable(f"{file} cannot be read ({cause.strerror}): repair or remove it"))


def _unreadable(cause: OSError) -> None:
    raise SslbenchError(
        printable(f"{cause.filename} cannot be read ({cause.strerror}): repair or remove it")
    ) from cause
