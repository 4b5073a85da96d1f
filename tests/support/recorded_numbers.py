"""The part of records that is equal for equal runs, wherever and however often interrupted they were."""

import json
from pathlib import Path
from typing import Any

TIMES = {"pretrain_s", "evaluate_s", "images_per_s", "watch_s", "peak_memory_mb", "seconds", "finished", "commit"}


def numbers(value: Any) -> Any:
    """A record without the fields that differ between equal runs: times, memory, commit."""
    if isinstance(value, dict):
        return {key: numbers(entry) for key, entry in value.items() if key not in TIMES}
    return [numbers(entry) for entry in value] if isinstance(value, list) else value


def everything_in(results: Path) -> dict[Path, Any]:
    """All records of a results folder by path, as returned by ``numbers``."""
    folder = results / "records"
    return {path.relative_to(folder): numbers(json.loads(path.read_text())) for path in folder.rglob("*.json")}
