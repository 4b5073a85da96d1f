"""Protocols of plugins and installed packages: their entries are checked, and each has a content."""

import hashlib
import importlib
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from bench.errors import SslbenchError
from bench.foreign_code import OWN, blamed_on
from bench.registry.content import DIGITS, content_of_module
from protocols import catalogue
from protocols.entry import Entry
from protocols.variants import SIGN

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_contents: dict[str, str] = {}
"""Content of each protocol that is not sslbench's own, by id."""


def entries_of(module: ModuleType) -> list[Any]:
    """Return a plugin's ``PROTOCOLS``; empty if it has none.

    Raises:
        SslbenchError: It is no list of ``Entry`` objects.
    """
    entries = getattr(module, "PROTOCOLS", ())
    if isinstance(entries, list | tuple) and all(isinstance(entry, Entry) for entry in entries):
        return list(entries)
    kinds = {type(entry).__name__ for entry in entries} if isinstance(entries, list | tuple) else set()
    found = f"a {type(entries).__name__}" + (f" of {', '.join(sorted(kinds))}" if kinds else "")
    raise SslbenchError(f"plugin {module.__name__}: PROTOCOLS is {found}; it must be a list of Entry objects")


def add(entry: Any, source: str, module: str, content: str | None = None) -> None:
    """Register a protocol in this process; one that is registered already is left as it is.

    Args:
        entry: The protocol's entry.
        source: Where it comes from, for error messages.
        module: Name of the module that defines the entry.
        content: Content of this module; computed if it is None.

    Raises:
        SslbenchError: The entry is invalid, its id is taken, or the module that it names does not define one protocol.
    """
    if not isinstance(entry, Entry):
        raise SslbenchError(f"{source}: is a {type(entry).__name__}; it must be an Entry")
    if entry.id in _contents and catalogue.ENTRIES.get(entry.id) == entry:
        return
    problem = _problem_of(entry)
    if problem is not None:
        raise SslbenchError(f"{source}: protocol {entry.id!r:.60}: {problem}")
    if _is_taken(entry.id):
        raise SslbenchError(f"{source}: protocol {entry.id!r}: the id is already taken; choose another")
    with blamed_on(f"{source}: protocol {entry.id!r}"):
        catalogue.load(entry)
        catalogue.add(entry)
        _contents[entry.id] = _content(entry, module, content)


def remove(id: str) -> None:
    """Remove a protocol of a plugin; does nothing for any other id."""
    if _contents.pop(id, None) is not None:
        catalogue.ENTRIES.pop(id, None)


def content_of(id: str) -> str | None:
    """Return the content of a protocol of a plugin, also with changed constants; None for a protocol of sslbench."""
    return _contents.get(id.partition(SIGN)[0])


def contents_of(ids: Iterable[str]) -> dict[str, str]:
    """Return the contents of those of the protocols that are of plugins, by id."""
    return {id: content for id in ids if (content := content_of(id)) is not None}


def _content(entry: Entry, module: str, content: str | None) -> str:
    first = content if content is not None else content_of_module(importlib.import_module(module))
    if entry.module == module or entry.module.partition(".")[0] in OWN:
        return first
    second = content_of_module(importlib.import_module(entry.module))
    return first if second == first else hashlib.sha256((first + second).encode()).hexdigest()[:DIGITS]


def _is_taken(id: str) -> bool:
    try:
        catalogue.resolve(id)
    except ValueError:
        return False
    return True


def _problem_of(entry: Entry) -> str | None:
    if not isinstance(entry.id, str) or not ID.fullmatch(entry.id):
        return "its id must be letters, digits and any of _ . + -"
    if not isinstance(entry.version, int) or isinstance(entry.version, bool) or entry.version < 1:
        return f"its version is {entry.version!r:.60}; it must be an integer from 1"
    for name in ("title", "source", "module"):
        value = getattr(entry, name)
        if not isinstance(value, str) or not value.isprintable() or (name == "module" and not value):
            return f"its {name} is {value!r:.60}; it must be a line of text"
    if not isinstance(entry.constants, Mapping) or not all(isinstance(key, str) for key in entry.constants):
        return "its constants must be a dict whose keys are texts"
    if entry.higher_is_better not in (True, False, None):
        return f"its higher_is_better is {entry.higher_is_better!r:.60}; it must be True, False or None"
    for name in ("needs_network", "label_free", "fixed_conditions"):
        if not isinstance(getattr(entry, name), bool):
            return f"its {name} must be True or False"
    if entry.metric is not None and not (isinstance(entry.metric, str) and entry.metric.isprintable() and entry.metric):
        return f"its metric is {entry.metric!r:.60}; it must be the name of a measure, or None"
    if (entry.labels is None) != (entry.draws is None):
        return "it needs labels and draws both, or none of them"
    if entry.labels is not None and not (
        isinstance(entry.labels, str) and isinstance(entry.draws, int) and entry.draws > 0
    ):
        return "its labels must be a text such as '1' or '1pct', and its draws an integer from 1"
    return None
