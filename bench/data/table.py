"""Read images that a CSV or TSV file lists: paths relative to it, labels, and parts if it has them."""

import csv
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from bench.data.archive import reason
from bench.data.files import Listing, file_state, read_listed
from bench.data.labelled import Item, sorted_into_parts
from bench.data.parts import decoded
from bench.data.raw import RawData
from bench.errors import SslbenchError
from bench.printable import printable

PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "img_path")
LABELS = ("label", "class", "class_name", "category", "target")
PARTS = ("split", "part", "set", "subset")
"""Names of the columns, in any case; each table has one of the first two kinds, and may have one of the third."""
MAX_BYTES = 512 * 2**20
EXAMPLE = "for example path,label,split"


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images that a table lists, ``size`` pixels wide, mapped from the cache.

    Raises:
        SslbenchError: The table has no clear columns, a path leaves its folder or is listed twice, a file is missing or no image, or
            the parts or classes cannot be used.
    """
    parts, places = _rows(folder)
    base = folder.resolve().parent
    states = {path: _state(base, path, folder, line) for path, line in places.items()}

    def content(path: str) -> bytes:
        try:
            return read_listed(base / path, states[path])
        except OSError as cause:
            raise SslbenchError(
                printable(f"{base / path} cannot be read ({cause.strerror}): repair or remove it")
            ) from cause

    state = "\n".join([str(base), *(f"{path}\0{file_state(found)}" for path, found in states.items())])
    files = Listing(folder, list(states), [], state, content, {})
    return decoded(name, sorted_into_parts(parts, str(folder)), files, size)


def _rows(table: Path) -> tuple[dict[str, list[Item]], dict[str, int]]:
    """Return the images by part, and the line of each path."""
    if not table.is_file():
        raise SslbenchError(printable(f"{table} is not a file: write csv:FILE with the path of a CSV or TSV file"))
    if table.stat().st_size > MAX_BYTES:
        raise SslbenchError(printable(f"{table} has more than {MAX_BYTES} bytes: split it, or use folder:PATH"))
    try:
        with table.open(encoding="utf-8-sig", newline="") as opened:
            head = opened.readline()
            opened.seek(0)
            return _parsed(table, csv.reader(opened, delimiter=_delimiter(table, head), strict=True))
    except UnicodeDecodeError as cause:
        raise SslbenchError(printable(f"{table} is not UTF-8 (byte {cause.start}): save it as UTF-8")) from cause
    except csv.Error as cause:
        raise SslbenchError(
            printable(f"{table} is not a readable table ({reason(cause)}): save it as CSV again")
        ) from cause


def _parsed(table: Path, rows: Iterable[Sequence[str]]) -> tuple[dict[str, list[Item]], dict[str, int]]:
    reader = iter(rows)
    header = next(reader, [])
    at = {kind: _column(table, header, names) for kind, names in (("path", PATHS), ("label", LABELS), ("part", PARTS))}
    path_at, label_at, part_at = at["path"], at["label"], at["part"]
    if path_at is None or label_at is None:
        missing = "paths" if path_at is None else "labels"
        raise SslbenchError(
            printable(
                f"{table} has no column of {missing} (its columns: {', '.join(header)}): name them in the first line, {EXAMPLE}"
            )
        )
    parts: dict[str, list[Item]] = {}
    lines: dict[str, int] = {}
    for line, row in enumerate(reader, 2):
        if not any(row):
            continue
        if len(row) != len(header):
            raise SslbenchError(
                printable(f"{table}, row {line}: {len(row)} values instead of {len(header)}: quote values with commas")
            )
        path = _inside(table, row[path_at].strip(), line)
        if path in lines:
            raise SslbenchError(
                printable(
                    f"{table}, row {line}: {path} is also in row {lines[path]}: an image has one label and one part"
                )
            )
        lines[path] = line
        label = row[label_at].strip()
        if "|" in label:
            raise SslbenchError(printable(f"{table}, row {line}: {label} are several labels: an image has one label"))
        parts.setdefault("" if part_at is None else row[part_at].strip(), []).append((path, label or None))
    if not lines:
        raise SslbenchError(printable(f"{table} lists no images: add a row per image"))
    return parts, lines


def _delimiter(table: Path, head: str) -> str:
    if table.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    return max(",\t;", key=head.count)


def _column(table: Path, header: Sequence[str], names: Sequence[str]) -> int | None:
    found = [at for at, name in enumerate(header) if name.strip().lower() in names]
    if len(found) > 1:
        both = " and ".join(header[at] for at in found)
        raise SslbenchError(
            printable(f"{table} has the columns {both}, and it is not clear which one to use: keep one of them")
        )
    return found[0] if found else None


def _inside(table: Path, path: str, line: int) -> str:
    """Return a path of the table with ``/``; only paths below its folder are allowed."""
    pure = PurePosixPath(path.replace("\\", "/"))
    if not path or any(ord(character) < 32 for character in path):
        raise SslbenchError(printable(f"{table}, row {line}: {path!r} is not a path"))
    if pure.is_absolute() or ".." in pure.parts or (pure.parts and pure.parts[0].endswith(":")):
        raise SslbenchError(
            printable(
                f"{table}, row {line}: {path} leads out of the folder of the table: write paths relative to that folder"
            )
        )
    return str(pure)


def _state(base: Path, path: str, table: Path, line: int) -> os.stat_result:
    try:
        found = (base / path).stat()
    except (OSError, ValueError) as cause:
        text = getattr(cause, "strerror", None) or cause
        raise SslbenchError(
            printable(f"{table}, row {line}: {path} cannot be read ({text}): paths are relative to {base}")
        ) from cause
    if not stat.S_ISREG(found.st_mode):
        raise SslbenchError(printable(f"{table}, row {line}: {path} is not a file: list the images themselves"))
    return found
