"""The leaderboard as markdown, CSV, JSON and LaTeX, and its files."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.atomic import write_text
from bench.leaderboard.tables import Column, Leaderboard, Row, Score, Table
from bench.reports import numbers

SCHEMA_VERSION = 1


def to_json(leaderboard: Leaderboard) -> str:
    """Return the JSON that ``results/leaderboard.schema.json`` describes: accuracies in percent, null for a missing value."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "tables": [_table(table) for table in leaderboard.tables],
        "stale": [str(stale) for stale in leaderboard.stale],
    }
    return json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    return {
        "dataset": table.dataset,
        "fingerprint": table.fingerprint,
        "backbone": table.backbone,
        "budget": table.budget,
        "task": table.task,
        "classes": table.classes,
        "test_images": table.images,
        "columns": [column.id for column in table.columns],
        "same_as": {column.id: column.same_as for column in table.columns if column.same_as},
        "rows": [_row(row, table) for row in table.rows],
        "notes": list(table.notes),
        "beside": list(table.other_backbones),
    }


def _row(row: Row, table: Table) -> dict[str, Any]:
    return {
        "method": row.method,
        "settings": row.settings,
        "group": row.group,
        "seeds": list(row.seeds),
        "status": row.status,
        "cause": row.cause,
        "rank": _rounded(row.rank),
        "scores": {column.id: _score(row.scores.get(column.id)) for column in table.columns},
        "cost": {
            name: _rounded(getattr(row.cost, name))
            for name in (
                "pretrain_s",
                "evaluate_s",
                "images_per_s",
                "peak_memory_mb",
                "parameters",
                "views_per_image",
            )
        },
        "device": row.device,
        "precision": row.precision,
        "marked": row.marked,
    }


def _score(score: Score | None) -> dict[str, Any]:
    return {
        "mean": _rounded(score.mean) if score else None,
        "std": _rounded(score.std) if score else None,
        "draw_std": _rounded(score.draw_std) if score else None,
        "interval": [_rounded(end) for end in score.interval] if score and score.interval else None,
        "tied_with_best": score.tied_with_best if score else None,
        "seeds": score.seeds if score else 0,
        "metrics": {name: _rounded(value) for name, value in score.metrics.items()} if score else {},
    }


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, 4)


def to_csv(leaderboard: Leaderboard) -> str:
    """Return one line per row of all tables: scores with deviations, intervals and ties, and costs."""
    columns = list(dict.fromkeys(column.id for table in leaderboard.tables for column in table.columns))
    lines = []
    for table in leaderboard.tables:
        for row in table.rows:
            flat = _row(row, table)
            line = {name: getattr(table, name) for name in ("dataset", "fingerprint", "backbone", "budget", "task")}
            line |= {name: flat[name] for name in ("method", "group", "status", "cause", "rank")}
            line |= {
                "settings": json.dumps(row.settings) if row.settings else None,
                "seeds": " ".join(map(str, row.seeds)),
            }
            for name in columns:
                score = flat["scores"].get(name) or _score(None)
                low, high = score["interval"] or (None, None)
                tied = {True: "yes", False: "no", None: None}[score["tied_with_best"]]
                values = (score["mean"], score["std"], score["draw_std"], low, high, tied)
                line |= dict(zip(_headings(name), values, strict=True))
            lines.append(line | flat["cost"] | {name: flat[name] for name in ("device", "precision")})
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def _headings(column: str) -> list[str]:
    return [column, *(f"{column}_{part}" for part in ("std", "draw_std", "low", "high", "tied"))]


def to_markdown(leaderboard: Leaderboard, costs: Sequence[numbers.CostColumn] = numbers.COST_COLUMNS) -> str:
    """Return all tables in GitHub's markdown, ties in bold, with the given columns of costs."""
    parts = []
    for table in leaderboard.tables:
        headings = ["rank", "method", *(c.id for c in table.columns), *(c.heading for c in costs)]
        lines = [
            f"### {_md(numbers.title(table))}",
            "",
            _md_line(headings),
            _md_line(["--:", ":--"] + ["--:"] * (len(headings) - 2)),
        ]
        for row in table.rows:
            scores = [_md_score(row.scores.get(c.id), c) for c in table.columns]
            cost_cells = [numbers.cost(row.cost, c) for c in costs]
            name = _md(numbers.label(row))
            lines.append(
                _md_line([numbers.rank(row), name if row.group == "methods" else f"*{name}*", *scores, *cost_cells])
            )
        legend = [_md(sentence.replace("*:", "Bold:")) for sentence in numbers.legend(table)]
        links = [
            f"[{_md(numbers.title(other))}](#{_anchor(numbers.title(other))})"
            for other in numbers.tables_of_other_backbones(table)
        ]
        legend += [f"Same images, another backbone: {', '.join(links)}."] if links else []
        parts.append("\n".join([*lines, "", "  \n".join(legend), ""]))
    return "\n".join(parts)


def _md(text: str) -> str:
    return re.sub(r"([|*_<`\\])", r"\\\1", text)


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _md_line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _md_score(score: Score | None, column: Column) -> str:
    text = numbers.score(score, column)
    return f"**{text}**" if score is not None and score.tied_with_best else text


def to_latex(leaderboard: Leaderboard) -> str:
    """Return all tables for the LaTeX package booktabs, ties in bold, groups separated by a rule."""
    parts = []
    for table in leaderboard.tables:
        lines = [f"% {numbers.title(table)}", rf"\begin{{tabular}}{{l{'r' * (len(table.columns) + 1)}}}", r"\toprule"]
        lines.append(_tex_line(["method", *(_tex(c.id) for c in table.columns), "rank"]))
        for _, rows in groupby(table.rows, key=lambda row: row.group):
            lines.append(r"\midrule")
            for row in rows:
                scores = [_tex_score(row.scores.get(c.id), c) for c in table.columns]
                lines.append(_tex_line([_tex(numbers.label(row)), *scores, numbers.rank(row)]))
        lines += [r"\bottomrule", r"\end{tabular}", *(f"% {sentence}" for sentence in numbers.legend(table)), ""]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _tex(text: str) -> str:
    text = re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "/"))
    return text.replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}").replace("†", r"$^\dagger$")


def _tex_line(entries: list[str]) -> str:
    return " & ".join(entries) + r" \\"


def _tex_score(score: Score | None, column: Column) -> str:
    text = numbers.score(score, column, between=r" $\pm$ ").replace(numbers.NONE, "--")
    return rf"\textbf{{{text}}}" if score is not None and score.tied_with_best else text


FORMATS: dict[str, Callable[[Leaderboard], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
"""The text formats of a leaderboard by name; the choices of `sslbench leaderboard --format`, next to `table`."""


def write_leaderboard(leaderboard: Leaderboard, folder: Path) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv`` and ``.json`` to a results folder, each atomically; return their paths.

    Raises:
        SslbenchError: The folder is not writable.
    """
    paths = []
    for suffix, text in (
        ("md", to_markdown(leaderboard)),
        ("csv", to_csv(leaderboard)),
        ("json", to_json(leaderboard)),
    ):
        paths.append(folder / f"leaderboard.{suffix}")
        write_text(paths[-1], text)
    return paths
