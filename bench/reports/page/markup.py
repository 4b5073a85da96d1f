"""HTML that is safe by construction: text becomes part of the page only by being escaped."""

import base64
import gzip
import html
import json
import re
from collections.abc import Iterable
from typing import Any

from bench.printable import printable, printable_lines

VOID = ("br", "img", "input", "meta")
"""Elements without an end tag."""
ENDED_BY_NEXT = ("td", "th", "tr", "thead", "tbody", "li", "dt", "dd", "option")
"""Elements whose end tag is left out: their next sibling or the end of their parent ends them (HTML, section 13.1.2.4)."""


class Html(str):
    """A piece of HTML, made by ``tag``, ``joined`` or ``lines``, or read from a file of sslbench."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | bool | None) -> Html:
    """Return an element; children that are not ``Html`` are shown as printable text.

    Args:
        name: Name of the element.
        children: Its content.
        attributes: Its attributes: an underscore at the end is dropped, one inside is a hyphen; True is an attribute without a value,
            None and False leave it out.
    """
    written = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    end = "" if name in VOID or name in ENDED_BY_NEXT else f"</{name}>"
    return Html(f"<{name}{written}>{joined(children)}{end}")


def joined(children: Iterable[str]) -> Html:
    """Return the children one after the other."""
    return Html("".join(child if isinstance(child, Html) else _escaped(child) for child in children))


def lines(text: str) -> Html:
    """Return a text of several lines, for ``pre``."""
    return Html(html.escape(printable_lines(text)))


def with_code(text: str) -> Html:
    """Return a text in which what is between double backquotes is code."""
    parts = re.split(r"``([^`]+)``", text)
    return joined(tag("code", part) if index % 2 else part for index, part in enumerate(parts))


def data(value: Any, *, id: str | None = None, class_: str | None = None) -> Html:
    """Return JSON values for the page's script, compressed; nothing in them can end the element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    packed = base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
    return tag("script", Html(packed), type="application/gzip", id=id, class_=class_)


def anchor(name: str, taken: set[str]) -> str:
    """Return an id made of the letters, digits, dots, hyphens and underscores of a name, and add it to those that are taken."""
    base = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:80].strip("-.") or "unnamed"
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}-{number}"
    taken.add(found)
    return found


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _attribute(key: str, value: str | bool) -> str:
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{value if isinstance(value, Html) else _escaped(str(value))}"'
