"""Read image data sets through Hugging Face's ``datasets``: from the hub, a folder of Parquet files, or one of ``save_to_disk``."""

import logging
import re
from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from bench.data.archive import reason
from bench.data.catalogue import location
from bench.data.files import MAX_FILE_BYTES, Listing, file_state
from bench.data.labelled import Item, sorted_into_parts
from bench.data.locate import expanded
from bench.data.parts import decoded
from bench.data.raw import RawData
from bench.errors import SslbenchError
from bench.printable import printable

FORM = "hf:NAME[@SPLIT][?image=COLUMN&label=COLUMN]"
SAVED = ("dataset_dict.json", "state.json")
"""Files of ``save_to_disk``."""


def read(name: str, folder: Path, size: int) -> RawData:
    """Return the images of a data set, ``size`` pixels wide, mapped from the cache; ``folder`` is not used.

    The image column is the one of type ``Image``, the label column the one of type ``ClassLabel``, else a column called ``label``. A
    negative or missing label means no label.

    Raises:
        SslbenchError: ``datasets`` is not installed, the set cannot be loaded, its columns are unclear, or it cannot be used otherwise.
    """
    source, split, chosen = _parsed(name)
    parts = _load(name, source, split)
    columns = {part: _columns(name, data.features, chosen) for part, data in parts.items()}
    items = {part: _items(name, part, data, columns[part][1]) for part, data in parts.items()}
    images = {part: _raw_images(data, columns[part][0]) for part, data in parts.items()}

    def content(key: str) -> bytes:
        part, _, position = key.rpartition(" ")
        return _bytes(name, images[part][int(position)][columns[part][0]])

    files = [entry["filename"] for data in parts.values() for entry in data.cache_files]
    state = "\n".join(
        [
            name,
            *(f"{file}\0{file_state(Path(file).stat())}" for file in files),
            *(f"{p} {len(d)}" for p, d in parts.items()),
        ]
    )
    return decoded(name, sorted_into_parts(items, name), Listing(Path(name), [], [], state, content, {}), size)


def _parsed(name: str) -> tuple[str, str | None, dict[str, str]]:
    """Return the source, the split and the chosen columns of a name."""
    text, _, query = location(name).partition("?")
    chosen = dict(parse_qsl(query, keep_blank_values=True))
    if query and (not chosen or set(chosen) - {"image", "label"}):
        raise SslbenchError(printable(f"{name}: write {FORM}"))
    source, at, split = text.rpartition("@")
    if not at or not source:
        source, split = text, ""
    if at and not split:
        raise SslbenchError(printable(f"{name}: no split follows the @; write {FORM}"))
    return source, split or None, chosen


def _load(name: str, source: str, split: str | None) -> Mapping[str, Any]:
    """Return the splits of a data set."""
    try:
        import datasets
    except ImportError:
        raise SslbenchError(
            f"{printable(name)} needs Hugging Face's datasets: pip install 'sslbench[huggingface]'"
        ) from None
    datasets.disable_progress_bars()
    logging.getLogger("datasets").setLevel(logging.ERROR)
    path = expanded(Path(source))
    local = path.is_dir()
    if not local and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source):
        raise SslbenchError(printable(f"{name}: {source} is neither a folder here nor a name on the hub; write {FORM}"))
    try:
        with redirect_stderr(StringIO()):
            if local and any((path / file).is_file() for file in SAVED):
                found = datasets.load_from_disk(str(path))
            else:
                found = datasets.load_dataset(str(path) if local else source)
    except Exception as cause:  # the library and its network code raise many kinds of exceptions
        hint = "check the folder" if local else "check the name and the connection, or give a local folder"
        raise SslbenchError(
            printable(f"{name} cannot be loaded ({type(cause).__name__}: {reason(cause)}): {hint}")
        ) from cause
    splits = dict(found) if isinstance(found, dict) else {split or "train": found}
    if split is None:
        return splits
    if split not in splits:
        raise SslbenchError(printable(f"{name}: there is no split {split}; it has {', '.join(splits)}"))
    return {split: splits[split]}


def _columns(name: str, features: Mapping[str, Any], chosen: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the columns of images and of labels; the latter is None if there are no labels."""
    import datasets

    for column in chosen.values():
        if column not in features:
            raise SslbenchError(printable(f"{name}: there is no column {column}; it has {', '.join(features)}"))
    images = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    image = chosen.get("image") or (images[0] if len(images) == 1 else None)
    if image is None or image not in images:
        found = (
            f"several columns of images ({', '.join(images)})"
            if len(images) > 1
            else f"no column of images (its columns: {', '.join(features)})"
        )
        raise SslbenchError(printable(f"{name} has {found}: choose one of type Image by ?image=COLUMN"))
    classes = [column for column, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    label = chosen.get("label") or (classes[0] if len(classes) == 1 else None)
    if label is None and len(classes) > 1:
        raise SslbenchError(
            printable(f"{name} has several columns of labels ({', '.join(classes)}): choose one by ?label=COLUMN")
        )
    if label is None:
        label = next((column for column in features if column.lower() in ("label", "labels", "class", "target")), None)
    if label is not None and not isinstance(features[label], datasets.ClassLabel | datasets.Value):
        raise SslbenchError(
            printable(f"{name}: column {label} holds several labels per image: choose another one by ?label=COLUMN")
        )
    if (
        label is not None
        and isinstance(features[label], datasets.Value)
        and not re.match(r"u?int|string|large_string|bool", features[label].dtype)
    ):
        raise SslbenchError(
            printable(
                f"{name}: column {label} holds {features[label].dtype}, which is no class: choose another by ?label=COLUMN"
            )
        )
    return image, label


def _items(name: str, part: str, data: Any, column: str | None) -> list[Item]:
    """Return the keys and classes of a split's images."""
    if column is None:
        return [(f"{part} {at}", None) for at in range(len(data))]
    feature = data.features[column]
    names = getattr(feature, "names", None)
    values = data.with_format(None).select_columns([column])[:][column]
    items: list[Item] = []
    for at, value in enumerate(values):
        missing = value is None or value == "" or (isinstance(value, int) and not isinstance(value, bool) and value < 0)
        if not missing and names is not None and value >= len(names):
            raise SslbenchError(
                printable(f"{name}: image {at} of {part} has the label {value}, but there are {len(names)} classes")
            )
        items.append((f"{part} {at}", None if missing else names[value] if names is not None else str(value)))
    return items


def _raw_images(data: Any, column: str) -> Any:
    """Return the split with the files of its images instead of decoded images."""
    import datasets

    return data.with_format(None).select_columns([column]).cast_column(column, datasets.Image(decode=False))


def _bytes(name: str, image: Mapping[str, Any] | None) -> bytes:
    if image is None or (image.get("bytes") is None and not image.get("path")):
        raise SslbenchError(printable(f"{name}: an image is missing: remove its row"))
    if image.get("bytes") is not None:
        content: bytes = image["bytes"]
    else:
        path = Path(image["path"])
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise SslbenchError(printable(f"{name}: {path} is too large for an image"))
            content = path.read_bytes()
        except OSError as cause:
            raise SslbenchError(printable(f"{name}: {path} cannot be read ({cause.strerror})")) from cause
    return content
