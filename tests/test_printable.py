"""Text from files never acts on the terminal or in a document."""

import csv
import io
import json
import re
import unicodedata

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.text import Text

from bench.printable import csv_cell, json_text, latex, markdown, printable, printable_lines, rich_markup

HOSTILE = {
    "escape": "red \x1b[31m text",
    "window title": "\x1b]0;title\x07",
    "c1": "one\x9b31mtwo\x85three",
    "newline": "first\nsecond\r\nthird\x0b\x0c",
    "line separator": "first\u2028second\u2029third",
    "direction": "safe\u202egnp.exe\u2066\u200f",
    "invisible": "a\u200bb\u00adc\ufeff",
    "surrogate": "caf\udce9.png",
    "rich markup": "[red]x[/red] [link=http://e.com]y[/link] [/]",
    "input in a comment": "name\n\\input{/etc/passwd}",
    "latex": "\\write18{id} ^^M %& $x$ ~ # _ {}",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "at": "@SUM(A1)",
    "minus": "-1-1",
    "formula after a space": " \t=1+1",
    "link": "[click](javascript:alert(1))",
    "image": "![x](http://e.com/x.png)",
    "bare link": "see https://e.com and www.e.com or a@e.com",
    "html": "<img src=x onerror=alert(1)> <!-- c --> &lt;b&gt;",
    "cells": "a | b | c",
    "heading": "# title",
    "quote": "> quote",
    "list": "- item",
    "number": "1. item",
    "code": "`code` ```",
    "emphasis": "*a* _b_ **c** ~~d~~",
    "reference": "[a]: http://e.com",
    "backslashes": "\\[x](http://e.com) \\| \\",
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def visible(text: str) -> bool:
    return all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text)


@hostile
def test_only_visible_characters_on_one_line_reach_the_terminal(text: str) -> None:
    shown = printable(text)
    assert visible(shown)
    shown.encode()
    assert printable(shown) == shown


def test_a_removed_character_is_shown_as_its_escape() -> None:
    assert printable("a\x1bb\nc\u202ed\udce9") == r"a\x1bb\nc\u202ed\udce9"
    assert printable_lines("a\x1b\n\tb") == "a\\x1b\n        b"


@pytest.mark.parametrize("text", ["Straße", "日本　語", "naïve café", "🦉 owl", "C:\\birds", "a  b"])
def test_ordinary_names_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    shown = printable("start" + "x" * 80_000 + "\x1bend")
    assert shown.startswith("start") and shown.endswith("\\x1bend") and len(shown) < 3000
    assert "78,009 characters left out" in shown


@hostile
def test_rich_prints_a_text_as_it_is(text: str) -> None:
    console = Console(width=500, file=io.StringIO(), force_terminal=False)
    console.print(f"[bold]{rich_markup(text)}[/bold]", highlight=False)
    plain = Console(width=500, file=io.StringIO(), force_terminal=False)
    plain.print(Text(printable(text)))
    assert console.file.getvalue() == plain.file.getvalue()  # type: ignore[attr-defined]


@hostile
def test_markdown_contains_only_text(text: str) -> None:
    """As a paragraph, and as a cell of a table with two columns."""
    parser = MarkdownIt("gfm-like", {"linkify": False})
    paragraph = parser.parse(markdown(text))
    assert [token.type for token in paragraph] == ["paragraph_open", "inline", "paragraph_close"]
    table = parser.parse(f"| a | b |\n|---|---|\n| {markdown(text)} | end |")
    cells = [t for t, before in zip(table[1:], table[:-1], strict=True) if before.type in ("td_open", "th_open")]
    assert len(cells) == 4 and cells[3].content == "end"
    for inline in (paragraph[1], cells[2]):
        children = [c for c in inline.children or () if c.type != "html_inline" or c.content != "<!-- -->"]
        assert {child.type for child in children} <= {"text", "text_special"}
        assert "".join(child.content for child in children).split() == printable(text).split()
    assert not re.search(r"(?<!\\)://|www\.", markdown(text))


@hostile
def test_latex_contains_only_text(text: str) -> None:
    shown = latex(text)
    assert "\n" not in shown and visible(shown)
    for command in (
        r"\textbackslash{}",
        r"\textasciitilde{}",
        r"\textasciicircum{}",
        r"\textless{}",
        r"\textgreater{}",
    ):
        shown = shown.replace(command, "")
    for character in "&%$#_{}":
        shown = shown.replace("\\" + character, "")
    assert not set("\\&%$#_{}~^") & set(shown.replace(r"\textbar{}", ""))


@hostile
def test_a_spreadsheet_finds_no_formula(text: str) -> None:
    written = io.StringIO()
    csv.writer(written).writerow([csv_cell(text), "end"])
    ((cell, end),) = csv.reader(io.StringIO(written.getvalue()))
    assert end == "end" and visible(cell)
    assert cell.lstrip()[:1] not in ("=", "+", "-", "@")


@hostile
def test_json_keeps_the_value_and_shows_only_visible_characters(text: str) -> None:
    for ascii_only in (True, False):
        shown = json_text(json.dumps({text: [text]}, ensure_ascii=ascii_only, indent=2))
        shown.encode()
        assert visible(shown.replace("\n", ""))
        assert json.loads(shown) == {text: [text]}
