"""File and folder names for data sets, methods and settings that users may name freely."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_LONGEST = 64
_SLUG = 24


def slug(name: str, digest: str) -> str:
    """Return a short readable file name for ``name``: its kind, the end of its path, and eight hex digits of ``digest``.

    ``folder:/data/My Birds.zip`` with a digest of the content becomes ``folder-my-birds-zip-1f2e3d4c``.
    """
    kind, _, rest = name.rpartition(":")
    end = re.sub(r"[^a-z0-9]+", "-", re.split(r"[/\\]", rest.rstrip("/\\"))[-1].lower()).strip("-")[-_SLUG:].strip("-")
    start = re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")[:_SLUG]
    return "-".join(part for part in (start, end, digest[:8].lower()) if part)


def file_name(name: str) -> str:
    """Return ``name`` if it is a safe file name, otherwise its slug with a hash of the name."""
    if len(name) <= _LONGEST and _SAFE.fullmatch(name) and not name.endswith("."):
        return name
    return slug(name, hashlib.sha256(name.encode()).hexdigest())


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return changed settings as one line, ``key=value,…`` sorted by key; strings without quotes."""
    return ",".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in sorted(settings.items())
    )


def method_folder(method: str, settings: Mapping[str, Any]) -> str:
    """Return the folder of a method's runs: ``simclr``, or ``simclr+temperature=0.2`` with changed settings."""
    if not settings:
        return file_name(method)
    text = settings_text(settings)
    if len(text) > _LONGEST or not re.fullmatch(r"[A-Za-z0-9._=,-]+", text):
        text = slug(text, hashlib.sha256(text.encode()).hexdigest())
    return f"{file_name(method)}+{text}"
