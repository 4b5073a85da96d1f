"""``sslbench list``: the available methods, protocols, data sets, backbones and studies."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import options as shared
from bench.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

Kind = Literal["methods", "protocols", "datasets", "backbones", "studies"]
Row = dict[str, Any]


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    format: Annotated[Literal["table", "json"], typer.Option(help="How to print it.")] = "table",
    data_root: shared.DataRoot = None,
    plugin: shared.Plugins = None,
) -> None:
    """List methods, protocols, data sets, backbones or studies."""
    shared.load_plugins(plugin)
    found = rows(kind, data_root)
    if format == "json":
        typer.echo(json.dumps(found, indent=2))
    else:
        _print_table(shared.console(), found)


GAP = 2
"""Characters between two columns."""
LONGEST = 48
"""Longer entries do not widen their column."""


def _print_table(console: "Console", rows: list[Row]) -> None:
    """Print the rows in columns; long entries, and columns that do not fit, are printed below their row, so that links stay whole."""
    from textwrap import wrap

    from rich.cells import cell_len
    from rich.text import Text

    headings = list(rows[0])
    entries = [[_text(value) for value in row.values()] for row in rows]
    widths = [
        max(
            length
            for length in (cell_len(heading), *map(cell_len, column))
            if length <= LONGEST or length == cell_len(heading)
        )
        for heading, column in zip(headings, zip(*entries, strict=True), strict=True)
    ]
    numeric = [all(type(row[heading]) in (int, type(None)) for row in rows) for heading in headings]
    beside = list(range(len(headings)))
    while len(beside) > 1 and sum(widths[i] + GAP for i in beside) > console.width + GAP:
        beside.remove(max(beside[1:], key=lambda i: widths[i]))

    def show(texts: Sequence[str], style: str = "") -> None:
        fitting = {i for i in beside if i == 0 or cell_len(texts[i]) <= widths[i]}
        cells = []
        for i in beside:
            text = texts[i] if i in fitting else ""
            gap = " " * (widths[i] - cell_len(text))
            cells.append(gap + text if numeric[i] else text + gap)
        console.print(Text((" " * GAP).join(cells).rstrip(), style), soft_wrap=True)
        rest = (" " * GAP).join(text for i, text in enumerate(texts) if text and i not in fitting)
        for line in wrap(rest, max(20, console.width - GAP), break_long_words=False, break_on_hyphens=False):
            console.print(Text(" " * GAP + line, style or "dim"), soft_wrap=True)

    show(headings, "bold")
    for row in entries:
        show(row)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else printable(str(value))


def rows(kind: Kind, data_root: Path | None) -> list[Row]:
    """Return one row per entry, all with the same keys."""
    match kind:
        case "methods":
            return _methods()
        case "protocols":
            return _protocols()
        case "datasets":
            return _datasets(data_root)
        case "backbones":
            return _backbones()
        case "studies":
            return _studies()


def _methods() -> list[Row]:
    from bench.pretrained.names import NAME_FORMS
    from bench.registry.declared import declared
    from bench.registry.methods import method_names

    found = []
    for name in method_names():
        method = declared(name)
        needs = [f"{method.backbone} backbone"] if method.backbone in ("convolutional", "transformer") else []
        needs += ["labels"] if method.labels else []
        needs += [] if method.training else ["no training"]
        found.append(
            {
                "method": name,
                "title": method.title,
                "family": method.family,
                "needs": ", ".join(needs),
                "version": method.version,
                "paper": method.paper,
            }
        )
    return found + [
        {"method": form, "title": title, "family": "elsewhere", "needs": "no training", "version": 1, "paper": ""}
        for form, title in NAME_FORMS
    ]


def _protocols() -> list[Row]:
    from protocols import catalogue

    return [
        {
            "protocol": entry.id,
            "title": entry.title,
            "version": entry.version,
            "default": entry.id in catalogue.DEFAULT,
            "source": entry.source,
        }
        for entry in catalogue.ENTRIES.values()
    ] + [
        {"protocol": form, "title": title, "version": 1, "default": False, "source": "a family of protocols"}
        for form, title in catalogue.FAMILIES.items()
    ]


def _datasets(data_root: Path | None) -> list[Row]:
    from bench.data import catalogue
    from bench.data.locate import available

    return [
        {
            "dataset": entry.name,
            "title": entry.title,
            "size": entry.size,
            "classes": entry.classes,
            "train": entry.train,
            "test": entry.test,
            "backbone": entry.backbone,
            "found": available(entry.name, data_root) if entry.name in catalogue.names() else None,
        }
        for entry in (*catalogue.ENTRIES, *catalogue.OWN_ENTRIES)
    ]


def _backbones() -> list[Row]:
    from bench.backbones.catalogue import CATALOGUE

    return [
        {
            "backbone": entry.name,
            "title": entry.title,
            "kind": entry.kind,
            "features": entry.dim,
            "version": entry.version,
        }
        for entry in CATALOGUE.values()
    ]


def _studies() -> list[Row]:
    from bench.studies.load import find, names

    return [
        {
            "study": study.name,
            "title": study.title,
            "dataset": study.dataset,
            "budget": study.budget,
            "seeds": study.seeds,
            "rows": len(study.systems),
            "measured": "no" if study.awaits else "yes",
        }
        for study in map(find, names())
    ]
