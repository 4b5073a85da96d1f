"""Read tar shards in WebDataset's form: files with the same name up to the first dot are one sample, an image with its label."""

import json
import re
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

from bench.data.archive import reason
from bench.data.files import Listing, file_state
from bench.data.kinds import is_image
from bench.data.labelled import Item, sorted_into_parts
from bench.data.part_names import part_of
from bench.data.parts import decoded
from bench.data.raw import RawData
from bench.data.tar import Tar, opened_members
from bench.errors import SslbenchError
from bench.printable import printable

CLASS = ("cls", "cls.txt", "label", "txt")
"""Endings of the file with a sample's label, the preferred first; `txt` is the caption of other data sets and counts only as one word."""
KEYS = ("label", "cls", "class", "class_name")
"""Keys of the label in a sample's JSON file, the preferred first."""
MAX_SHARDS = 100_000
MAX_LABEL_BYTES = 2**20
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images of tar shards, ``size`` pixels wide, mapped from the cache.

    ``folder`` is a folder of shards, one shard, or a name with ``*`` or ``{000..009}``. A shard belongs to the part that its name or
    its folder contains: ``train-000.tar``, ``val/000.tar``; without one all images are ``train``.

    Raises:
        SslbenchError: There are no shards, one is damaged or unsafe, a sample has several images or labels, or the parts or classes
            cannot be used.
    """
    shards = _shards(folder)
    base = folder if folder.is_dir() else folder.parent
    with ExitStack() as stack:
        tars = {str(at): stack.enter_context(opened_members(path)) for at, path in enumerate(shards)}
        parts: dict[str, list[Item]] = {}
        for key, tar in tars.items():
            parts.setdefault(_part(tar.path, base), []).extend(_samples(key, tar))

        def content(key: str) -> bytes:
            shard, _, member = key.partition(" ")
            return tars[shard].read(member)

        state = "\n".join(f"{path.resolve()}\0{file_state(path.stat())}" for path in shards)
        return decoded(name, sorted_into_parts(parts, str(folder)), Listing(folder, [], [], state, content, {}), size)


def _shards(pattern: Path) -> list[Path]:
    text = str(pattern)
    if text.startswith(("pipe:", "http:", "https:", "s3:", "gs:")):
        raise SslbenchError(printable(f"wds:{text}: only files of this machine are read: download the shards"))
    if pattern.is_dir():
        found = sorted(path for path in pattern.rglob("*") if path.name.lower().endswith((".tar", ".tar.gz", ".tgz")))
    elif pattern.is_file():
        found = [pattern]
    else:
        names = _expanded(text)
        missing = [entry for entry in names if "*" not in entry and not Path(entry).is_file()]
        if missing and len(names) > 1:
            raise SslbenchError(printable(f"{missing[0]} does not exist: wds:{text} names {len(names)} shards"))
        found = sorted(match for entry in names for match in _matches(entry))
    if not found:
        raise SslbenchError(
            printable(f"wds:{text}: there are no shards: give a folder of .tar files, or a name with * or {{000..009}}")
        )
    if len(found) > MAX_SHARDS:
        raise SslbenchError(printable(f"wds:{text}: {len(found)} shards are more than {MAX_SHARDS}: make larger ones"))
    return found


def _matches(pattern: str) -> list[Path]:
    """Return the files that a name with ``*`` matches."""
    path = Path(pattern)
    start = Path(path.anchor or ".")
    return list(start.glob(str(path.relative_to(path.anchor))))


def _expanded(text: str) -> list[str]:
    """Return the names that ``{000..009}`` stands for."""
    match = _RANGE.search(text)
    if match is None:
        return [text]
    first, last = match.groups()
    if not 0 <= int(last) - int(first) < MAX_SHARDS:
        raise SslbenchError(printable(f"wds:{text}: {match.group()} is no range of shards"))
    width = len(first)
    before, after = text[: match.start()], text[match.end() :]
    return [
        entry for number in range(int(first), int(last) + 1) for entry in _expanded(f"{before}{number:0{width}}{after}")
    ]


def _part(shard: Path, base: Path) -> str:
    """Return the part that a shard's name or folders contain, or no part."""
    path = shard.relative_to(base) if shard.is_relative_to(base) else Path(shard.name)
    words = [word for step in path.parts for word in re.split(r"[-_.\s]+", step)]
    return next((found for word in words if (found := part_of(word)) is not None), "")


def _samples(key: str, tar: Tar) -> list[Item]:
    """Return the images of a shard with their labels."""
    samples: dict[str, dict[str, str]] = {}
    for name in tar.members:
        path = PurePosixPath(name)
        stem, _, ending = path.name.partition(".")
        samples.setdefault(str(path.with_name(stem)) if stem else name, {})[ending.lower()] = name
    items = []
    for sample, files in samples.items():
        images = [name for name in files.values() if is_image(name)]
        if len(images) > 1:
            raise SslbenchError(
                printable(f"{tar.path}: sample {sample} has {len(images)} images: a sample is one image")
            )
        if images:
            items.append((f"{key} {images[0]}", _label(tar, sample, files)))
    if not items:
        raise SslbenchError(
            printable(f"{tar.path} has no images: a sample is an image file and a .cls or .json file of the same name")
        )
    return items


def _label(tar: Tar, sample: str, files: dict[str, str]) -> str | None:
    for ending in CLASS:
        if ending in files:
            text = _text(tar, files[ending]).strip()
            if ending == "txt" and len(text.split()) > 1:
                continue
            if not re.fullmatch(r"-\d+", text):
                return text or None
            return None
    if "json" not in files:
        return None
    try:
        found: Any = json.loads(_text(tar, files["json"]))
    except (ValueError, RecursionError) as cause:
        raise SslbenchError(printable(f"{tar.path}: {files['json']} is not JSON ({reason(cause)})")) from cause
    value = next((found[name] for name in KEYS if name in found), None) if isinstance(found, dict) else found
    if value is None or value == "" or (isinstance(value, int) and value < 0):
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise SslbenchError(
            printable(
                f"{tar.path}: the label of {sample} is {type(value).__name__}: an image has one label, a number or a name"
            )
        )
    return str(value)


def _text(tar: Tar, name: str) -> str:
    if tar.members[name].size > MAX_LABEL_BYTES:
        raise SslbenchError(printable(f"{tar.path}: {name} has {tar.members[name].size} bytes, which is no label"))
    try:
        return tar.read(name).decode()
    except UnicodeDecodeError as cause:
        raise SslbenchError(printable(f"{tar.path}: {name} is not UTF-8")) from cause
