"""The facts of a run as names and values in text, the same for the terminal and the page."""

from collections.abc import Mapping
from typing import Any

from bench.filenames import settings_text
from bench.records.record import DataFacts, Record, Transfer
from bench.reports import numbers

DEEPEST = 4
"""Deeper nested values are not shown."""


def identity(record: Record) -> dict[str, str]:
    """Return versions, length of the training, data set, group, and what was changed."""
    run = record.identity
    versions = f"method {run.method_version}, backbone {run.backbone_version}, harness {run.harness_version}"
    facts = {
        "versions": versions,
        "training": f"{run.epochs} epochs, batch {run.batch}" if run.epochs else "elsewhere",
        "data": (f"{record.classes} classes, " if record.classes else "") + f"fingerprint {run.fingerprint}",
    }
    if record.data is not None:
        facts["images"] = _images(record.data)
    for other in transfers(record):
        facts[f"measured on {other.dataset}"] = _transfer(other, run.dataset)
    if record.group is not None:
        facts["group"] = record.group + ("" if record.group == "methods" else " (not ranked)")
    if run.plugin:
        facts["plugin"] = f"content {run.plugin}"
    if contents := {name: m.plugin for name, m in record.protocols.items() if m.plugin}:
        facts["protocols of plugins"] = ", ".join(f"{name}: content {plugin}" for name, plugin in contents.items())
    return facts | ({"changed": settings_text(run.settings)} if run.settings else {})


def transfers(record: Record) -> list[Transfer]:
    """Return the other data sets that a record was measured on."""
    found = {m.transfer.dataset: m.transfer for m in record.protocols.values() if m.transfer is not None}
    return list(found.values())


def _transfer(other: Transfer, pretrained_on: str) -> str:
    seen = f", {other.seen:,} of test also in {pretrained_on} (equal pixels)" if other.seen else ""
    return f"{other.classes} classes, fingerprint {other.fingerprint}, {_images(other.data)}{seen}"


def _images(data: DataFacts) -> str:
    parts = [f"train {data.train:,} (val {data.val:,} of them)", f"test {data.test:,}"]
    parts += [f"unlabelled {data.unlabelled:,}"] if data.unlabelled else []
    parts += [f"{data.duplicates:,} of test also in train (equal pixels)"] if data.duplicates else []
    return ", ".join(parts)


def short(value: Any, depth: int = 0) -> str:
    """Return a JSON value as one line, floats with four significant digits."""
    if depth == DEEPEST and isinstance(value, dict | list):
        return "…"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {short(entry, depth + 1)}" for key, entry in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(short(entry, depth + 1) for entry in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def cost(record: Record) -> dict[str, str]:
    """Return times, speed, memory and size."""
    facts = {column.heading: numbers.cost(record.cost, column) for column in numbers.COST_COLUMNS}
    evaluate = record.cost.evaluate_s
    facts["evaluate s"] = numbers.NONE if evaluate is None else f"{evaluate:,.0f}"
    return facts if record.cost.watch_s is None else facts | {"watch s": f"{record.cost.watch_s:,.0f}"}


def shown(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the names and values of a recipe or an environment."""
    return {
        name: ", ".join(f"{k} {short(v)}" for k, v in value.items()) if isinstance(value, dict) else short(value)
        for name, value in values.items()
    }
