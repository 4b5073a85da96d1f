"""Text from files (names, titles, messages, log lines) made safe for the terminal and for each output format."""

import json
import re
import unicodedata

LONGEST = 2000
"""Longer texts are shortened in the middle."""


def printable(text: str, longest: int = LONGEST) -> str:
    r"""Return a text as one line that a terminal shows as it is.

    Everything that is not a visible character or a space is shown as its escape (``\x1b``, ``\n``, ``\u202e``): control characters,
    line breaks, direction marks and other invisible format characters (joiners too), lone surrogates of file names that are not Unicode, and code
    points without a character. A text of more than ``longest`` characters keeps its beginning and its end.
    """
    if len(text) > longest:
        start = longest * 2 // 3
        end = longest - start
        left_out = len(text) - longest
        text = f"{text[:start]} [{left_out:,} characters left out] {text[-end:]}"
    if text.isprintable():
        return text
    return "".join(c if _is_visible(c) else _escape(c) for c in text)


def printable_lines(text: str, longest: int = LONGEST) -> str:
    """Return a text of several lines with each line made printable; the line breaks are kept."""
    return "\n".join(printable(line.expandtabs(), longest) for line in re.split(r"\r?\n", text))


def rich_markup(text: str) -> str:
    """Return a printable text that rich prints as it is where it expects markup."""
    from rich.markup import escape

    return escape(printable(text))


def markdown(text: str) -> str:
    """Return a printable text for GitHub's Markdown without formatting: no table cells, links, images, HTML, entities or formulas."""
    # An underscore between letters or digits is no emphasis.
    text = re.sub(r"[\\`*\[\]<>|~$&]|_(?![^\W_])|(?<![^\W_])_", r"\\\g<0>", printable(text))
    text = re.sub(r":(?=//)|(?<=mailto):|(?<=xmpp):|(?<=www)\.", r"\\\g<0>", text, flags=re.IGNORECASE)
    text = re.sub(r"@(?=[\w-]+\.)", "@<!-- -->", text)
    text = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)
    return re.sub(r"^(?:#{1,6}(?=\s|$)|[+-](?=\s|$)|[=-]+\s*$)", r"\\\g<0>", text)


_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "≤": r"$\leq$",
    "≠": r"$\neq$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "…": r"\dots{}",
    "→": r"$\rightarrow$",
}


def latex(text: str, longest: int = LONGEST) -> str:
    r"""Return a printable text for LaTeX without commands, comments or formulas; symbols such as † become their commands."""
    return "".join(_LATEX.get(character, character) for character in printable(text, longest))


def csv_cell(text: str) -> str:
    """Return a printable text that a spreadsheet does not take for a formula: an apostrophe precedes ``=``, ``+``, ``-`` and ``@``."""
    text = printable(text)
    return "'" + text if re.match(r"\s*[=+@＝＋－＠-]", text) else text


def json_text(text: str) -> str:
    """Return JSON text with every character that is not visible written as an escape; its values stay the same."""
    return "".join(c if _is_visible(c) or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
