"""Hostile and odd content of records: every output is safe, and no record stops a table."""

import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from bench.leaderboard.build import CurrentVersions, build
from bench.leaderboard.compare import compare
from bench.records.record import Cost, DataFacts, Measurement, Record
from bench.reports.comparison import to_screen as comparison_to_screen
from bench.reports.formats import FORMATS
from bench.reports.leaderboard import to_screen
from bench.reports.record import to_screen as record_to_screen

Campaign = Callable[..., list[Record]]
HOSTILE = {
    "terminal": "x\x1b]0;t\x07\x9b2J\u202e\u2066\nnext\rback\x00",
    "surrogate": "caf\udce9",
    "rich": "[red]x[/red][/][link=http://e.com]y[/link]",
    "latex": "\n\\input{/etc/passwd}\\write18{id} % & # _ $x$ ~ ^^M",
    "csv": "=cmd|' /C calc'!A0",
    "markdown": "![x](http://e.com/x.png) [y](javascript:z) <img src=q> | # `c`",
    "long": "y" * 80_000,
}


def printed(renderable: RenderableType, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def planted(campaign: Campaign, text: str) -> list[Record]:
    """Records of three methods; in one of them every free text is ``text``."""
    good = campaign(
        {"random_init": -0.8, "simclr": 0.6, "byol": 0.3}, images=40, columns=("knn", "linear", "lowshot-1")
    )
    bad = replace(
        good[1],
        status="failed",
        cause=text,
        notes=[text],
        recipe={text: text, "optimizer": [text]},
        environment={text: text, "device": text, "precision": text, "packages": {text: text}},
        curve={"step": [1.0], "loss": [1.0], text: [2.0]},
        protocols=good[1].protocols
        | {text: good[1].protocols["knn"]}
        | {"rankme": Measurement(1, {"rankme": 1.0, text: 2.0}, choices={text: text}, variants={text: {"top1": 0.5}})},
        identity=replace(good[1].identity, method=text, settings={text: text}, plugin=text),
    )
    everywhere = {"dataset": text, "backbone": text, "budget": text, "fingerprint": text}
    elsewhere = [replace(r, identity=replace(r.identity, **everywhere)) for r in (good[2], bad)]
    return [*good, bad, *elsewhere]


def screens(records: list[Record], current: CurrentVersions) -> Iterator[str]:
    board = build(records, current, all_protocols=True)
    for width in (40, 80, 160):
        yield printed(to_screen(board, width), width)
    yield printed(comparison_to_screen(compare(records, records[:3], current), (str(records[3].cause), "b"), 80), 80)
    for record in records:
        yield printed(record_to_screen(record, 80), 80)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_in_a_record_is_only_text_in_every_output(campaign: Campaign, current: CurrentVersions, text: str) -> None:
    records = planted(campaign, text)
    board = build(records, current, all_protocols=True)
    outputs = {name: write(board) for name, write in FORMATS.items()}
    for shown in [*outputs.values(), *screens(records, current)]:
        shown.encode()
        assert all(c == "\n" or c.isprintable() or unicodedata.category(c) == "Zs" for c in shown)
    assert json.loads(outputs["json"])["tables"]
    assert not any(line.lstrip().startswith(("\\input", "\\write")) for line in outputs["latex"].splitlines())
    assert not re.search(r"(?<!\\)\{/etc|\\input|\\write|(?<!\\)[%#]", outputs["latex"])
    assert not any(cell.startswith(("=", '"=')) for line in outputs["csv"].splitlines() for cell in line.split(","))
    assert not re.search(r"!\[x|(?<!\\)\[y|(?<!\\)<img|(?<!\\)://", outputs["markdown"])
    assert max(map(len, outputs["markdown"].splitlines())) < 10_000


def test_rich_markup_in_a_record_is_shown_as_it_is(campaign: Campaign) -> None:
    (record,) = campaign({"simclr": 0.6}, columns=("knn",), status="failed", cause=HOSTILE["rich"])
    assert f"failed: {HOSTILE['rich']}" in printed(record_to_screen(record, 160), 160)


ODD: dict[str, dict[str, Any]] = {
    "huge seed": {"identity": {"seed": 10**30}},
    "empty names": {"identity": {"method": "", "backbone": "", "budget": ""}},
    "versions below 1": {"identity": {"method_version": -3, "backbone_version": 0}},
    "settings of odd types": {
        "identity": {"settings": {"a": None, "b": [[], {}], "c": math.nan, "d": "é\udce9", "": True}}
    },
    "no classes": {"classes": 0},
    "other classes": {"classes": 7},
    "no environment": {"environment": {}},
    "environment of odd types": {"environment": {"device": None, "precision": [1], "packages": 3}},
    "cost without numbers": {"cost": Cost(math.nan, math.inf, -1.0, 1e308, 10**40, -2)},
    "curve of odd steps": {"curve": {"step": [math.nan, 1e308, -1e308], "loss": [1.0, 1e308, -1e308], "part": []}},
    "data of no images": {"data": DataFacts(0, 0, 0, 0, 5)},
    "nested": {"recipe": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}},
    "protocol not finite": {"protocols": {"knn": Measurement(1, {"top1": math.nan, "nll": math.inf})}},
    "protocol without metrics": {"protocols": {"knn": Measurement(1), "linear": Measurement(1, images=5)}},
    "no images": {"protocols": {"knn": Measurement(1, {"top1": 0.5}, [{"top1": 0.5}], correct=[""], images=0)}},
    "one image": {"protocols": {"knn": Measurement(1, {"top1": 1.0}, [{"top1": 1.0}], correct=["gA=="], images=1)}},
    "draws of other lengths": {"protocols": {"knn": Measurement(1, {"top1": 0.5}, [{"nll": 1.0}, {"top1": 0.5}, {}])}},
    "metrics out of range": {
        "protocols": {"rankme": Measurement(1, {"rankme": 1e308}), "knn": Measurement(1, {"top1": 1e300})}
    },
    "protocol ids of odd forms": {
        "protocols": {"knn@k=²": Measurement(1), "lowshot-" + "9" * 5000: Measurement(1), "": Measurement(1)}
    },
    "same as itself": {
        "protocols": {"knn": Measurement(1, same_as="knn"), "linear": Measurement(1, same_as="nothing")}
    },
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_but_valid_record_never_stops_a_table(
    campaign: Campaign, current: CurrentVersions, odd: dict[str, Any]
) -> None:
    good = campaign({"random_init": -0.8, "simclr": 0.6, "byol": 0.3}, seeds=(0, 1), images=40)
    odd = dict(odd)
    changed = (
        replace(good[2].identity, seed=2) if "identity" not in odd else replace(good[2].identity, **odd.pop("identity"))
    )
    records = [*good, replace(good[2], identity=changed, **odd)]
    board = build(records, current, all_protocols=True)
    assert {"simclr", "byol"} <= {row.method for table in board.tables for row in table.rows}
    for write in FORMATS.values():
        assert write(board)
    assert json.loads(FORMATS["json"](board), parse_constant=pytest.fail)
    assert all(screens(records[-4:], current))
