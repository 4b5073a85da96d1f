"""``sslbench list``: the available methods, protocols, data sets, backbones and studies."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import options as shared

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


def _print_table(console: "Console", rows: list[Row]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key, value in rows[0].items():
        table.add_column(key, justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row.values()))
    console.print(table)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value)


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
    from bench.registry.methods import load_method, method_names

    found = []
    for name in method_names():
        method = load_method(name)
        needs = (
            [f"{method.needs.backbone} backbone"] if method.needs.backbone in ("convolutional", "transformer") else []
        )
        needs += ["labels"] if method.needs.labels else []
        needs += [] if method.needs.training else ["no training"]
        found.append(
            {
                "method": name,
                "title": method.title,
                "family": method.family,
                "needs": ", ".join(needs),
                "version": method.recipe.version,
                "paper": method.paper,
            }
        )
    from bench.pretrained.names import NAME_FORMS

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
        for entry in (*catalogue.ENTRIES, catalogue.FOLDER_ENTRY)
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
        }
        for study in map(find, names())
    ]
