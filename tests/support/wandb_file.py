"""Read the file of a W&B run: LevelDB's log format (blocks of 32 KiB) of W&B's protobuf records; its Python package has no reader any more."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER, MAGIC = 32768, 7, 7
WHOLE, FIRST, LAST = 1, 2, 4


def records(path: Path) -> Iterator[Record]:
    """Its records; the last one may be incomplete if its process was killed."""
    data, position, parts = path.read_bytes(), MAGIC, b""
    assert data.startswith(b":W&B")
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        part = data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if len(part) < length:
            return
        parts = part if kind in (WHOLE, FIRST) else parts + part
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(parts)
            yield record


def history(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of its history."""
    for record in records(path):
        if record.WhichOneof("record_type") == "history":
            yield {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}


def summary(path: Path) -> dict[str, Any]:
    """Its summary at the end."""
    found: dict[str, Any] = {}
    for record in records(path):
        if record.WhichOneof("record_type") == "summary":
            found |= {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.summary.update}
    return found


def run_of(path: Path) -> Any:
    """The first record that describes the run: id, name, tags, config."""
    return next(record.run for record in records(path) if record.WhichOneof("record_type") == "run")
