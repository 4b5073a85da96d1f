"""The command that repeats the runs of a row."""

import re
import shlex
from collections.abc import Sequence
from typing import Any

from bench.data.catalogue import names as dataset_names
from bench.printable import printable
from bench.records.record import EXTENDED_FROM, NO_BUDGET, OWN_NETWORK, Record

_PLACEHOLDER = re.compile(r"[A-Z]+")


def repeating(records: Sequence[Record], default: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the command, one line per call, and one sentence per placeholder in it.

    Args:
        records: The records of a row, one per seed.
        default: Protocol ids of the default set.
    """
    identity = records[0].identity
    explained: list[str] = []
    words = ["sslbench", "run", identity.method]
    if identity.budget == NO_BUDGET:
        words[-1] = "ENCODER"
        explained.append(
            f"ENCODER: the encoder that the table calls {identity.method}, as timm:NAME or checkpoint:FILE."
        )
    elif identity.plugin:
        words += ["--plugin", "FILE"]
        explained.append(f"FILE: the plugin with the method, content {identity.plugin}.")
    words += ["--dataset", identity.dataset]
    if identity.dataset not in dataset_names():
        words[-1] = "DATA"
        explained.append(f"DATA: the images that the table calls {identity.dataset}, for example folder:PATH.")
    if identity.task == "val":
        words += ["--on", "val"]
    words += [] if identity.backbone == OWN_NETWORK else ["--backbone", identity.backbone]
    words += _length(records[0], explained)
    words += _settings(identity.settings)
    words += _protocols(records, default)
    words += _measured_on(records, explained)
    seeds = [record.identity.seed for record in records]
    if seeds == list(range(len(seeds))):
        endings = [["--seeds", str(len(seeds))]] if len(seeds) > 1 else [[]]
    else:
        endings = [["--seed", str(seed)] for seed in seeds]
    return "\n".join(_line([*words, *ending]) for ending in endings), tuple(explained)


def _length(record: Record, explained: list[str]) -> list[str]:
    """Return the options that say how long the training is."""
    identity = record.identity
    if identity.budget == NO_BUDGET:
        return []
    if EXTENDED_FROM not in identity.settings:
        return ["--budget", identity.budget]
    explained.append(
        f"The runs continue finished runs of {identity.settings[EXTENDED_FROM]} epochs, which must be in the results folder."
    )
    return ["--budget", f"{identity.settings[EXTENDED_FROM]}ep", "--extend", identity.budget]


def _settings(settings: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for key, value in sorted(settings.items()):
        if key in ("batch_size", "share", "views"):
            words += [f"--{key.replace('_', '-')}", str(value)]
        elif key != EXTENDED_FROM:
            words += ["--set", f"{key}={_text(value)}"]
    return words


def _text(value: Any) -> str:
    """Return a value as ``--set`` takes it: a Python literal, or the text itself if it is a word."""
    if isinstance(value, str) and value.isidentifier() and value.lower() not in ("true", "false", "none"):
        return value
    return repr(tuple(value) if isinstance(value, list) else value)


def _protocols(records: Sequence[Record], default: Sequence[str]) -> list[str]:
    measured = list(dict.fromkeys(name for r in records for name, m in r.protocols.items() if m.transfer is None))
    if not measured or set(measured) == set(default):
        return []
    return [word for name in measured for word in ("--protocol", name)]


def _measured_on(records: Sequence[Record], explained: list[str]) -> list[str]:
    """Return the options for the other data sets that the records were measured on."""
    found = dict.fromkeys(m.transfer.dataset for r in records for m in r.protocols.values() if m.transfer)
    words: list[str] = []
    for name in found:
        words += ["--measure-on", name if name in dataset_names() else "OTHER"]
        if words[-1] == "OTHER":
            explained.append(f"OTHER: the images that the table calls {name}, for example folder:PATH.")
    return words


def _line(words: Sequence[str]) -> str:
    return printable(" ".join(word if _PLACEHOLDER.fullmatch(word) else shlex.quote(word) for word in words))
