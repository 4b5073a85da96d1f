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


def is_slug_of(slugged: str, name: str) -> bool:
    """Return whether ``slugged`` is the slug of ``name`` with any digest."""
    start, _, digest = slugged.rpartition("-")
    return start == slug(name, "") and re.fullmatch(r"[0-9a-f]{8}", digest) is not None


def file_name(name: str) -> str:
    """Return ``name`` if it is a safe file name, otherwise its slug with a hash of the name."""
    if len(name) <= _LONGEST and _SAFE.fullmatch(name) and not name.endswith("."):
        return name
    return slug(name, _digest(name))


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return changed settings as one line, ``key=value,…`` sorted by key; strings without quotes."""
    return ",".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in sorted(settings.items())
    )


def method_folder(method: str, settings: Mapping[str, Any], plugin: str | None = None) -> str:
    """Return the folder of a method's runs: ``simclr``, or ``simclr+temperature=0.2`` with changed settings.

    The content of a plugin follows the method's name: ``my_method@1a2b3c4d5e6f+temperature=0.2``.
    """
    name = file_name(method) + ("" if plugin is None else f"@{file_name(plugin)}")
    if not settings:
        return name
    text = settings_text(settings)
    if len(text) > _LONGEST or not re.fullmatch(r"[A-Za-z0-9._=,-]+", text):
        text = slug(text, _digest(text))
    return f"{name}+{text}"


def _digest(text: str) -> str:
    """Return a hash of any text, also of one with lone surrogates (a file name that is not Unicode)."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
