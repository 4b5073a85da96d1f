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
from bench.printable import csv_cell, json_text, latex, markdown, printable
from bench.reports import numbers
from bench.reports.format_names import NAMES

SCHEMA_VERSION = 1
CAPTION = 4000
"""Largest number of characters of a caption in LaTeX."""


def to_json(leaderboard: Leaderboard) -> str:
    """Return the JSON that ``results/leaderboard.schema.json`` describes: accuracies in percent, null for a missing value."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "tables": [_table(table) for table in leaderboard.tables],
        "stale": [str(stale) for stale in leaderboard.stale],
    }
    return json_text(json.dumps(_finite(data), indent=2, allow_nan=False, ensure_ascii=False)) + "\n"


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
        "protocol_plugins": {column.id: column.plugin for column in table.columns if column.plugin},
        "tuned": table.tuned,
        "largest_class": _percent(table.largest_class),
        "rows": [_row(row, table) for row in table.rows],
        "notes": list(table.notes),
        "beside": list(table.other_backbones),
    }


def _row(row: Row, table: Table) -> dict[str, Any]:
    return {
        "method": row.method,
        "settings": row.settings,
        "plugin": row.plugin,
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
        "notes": list(row.notes),
    }


def _score(score: Score | None) -> dict[str, Any]:
    return {
        "mean": _rounded(score.mean) if score else None,
        "std": _rounded(score.std) if score else None,
        "draw_std": _rounded(score.draw_std) if score else None,
        "interval": [_rounded(end) for end in score.interval] if score and score.interval else None,
        "tied_with_best": score.tied_with_best if score else None,
        "above_random_init": score.above_untrained if score else None,
        "surely_above_random_init": score.surely_above_untrained if score else None,
        "seeds": score.seeds if score else 0,
        "metrics": {name: _rounded(value) for name, value in score.metrics.items()} if score else {},
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else _rounded(100 * share)


def _finite(value: Any) -> Any:
    """Return JSON values without floats that are not finite: they become strings, as in a record."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, 4)


def to_csv(leaderboard: Leaderboard) -> str:
    """Return one line per row of all tables: scores with deviations, intervals, ties and mean class accuracies, and costs."""
    columns = list(dict.fromkeys(column.id for table in leaderboard.tables for column in table.columns))
    lines = []
    for table in leaderboard.tables:
        for row in table.rows:
            flat = _row(row, table)
            line = {name: getattr(table, name) for name in ("dataset", "fingerprint", "backbone", "budget", "task")}
            line |= {"tuned": table.tuned, "largest_class": _percent(table.largest_class)}
            line |= {name: flat[name] for name in ("method", "group", "status", "cause", "rank")}
            line |= {
                "settings": json.dumps(row.settings) if row.settings else None,
                "plugin": row.plugin,
                "seeds": " ".join(map(str, row.seeds)),
            }
            for name in columns:
                score = flat["scores"].get(name) or _score(None)
                low, high = score["interval"] or (None, None)
                tied, above = (_YES[score[key]] for key in ("tied_with_best", "above_random_init"))
                mean_class = score["metrics"].get("mean_class")
                values = (score["mean"], score["std"], score["draw_std"], low, high, tied, above, mean_class)
                line |= dict(zip(_headings(name), values, strict=True))
            line |= flat["cost"] | {name: flat[name] for name in ("device", "precision")}
            lines.append(line | {"notes": " ".join(row.notes) or None})
    text = io.StringIO()
    if lines:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(csv_cell(name) for name in lines[0])
        writer.writerows([csv_cell(v) if isinstance(v, str) else v for v in line.values()] for line in lines)
    return text.getvalue()


_YES = {True: "yes", False: "no", None: None}


def _headings(column: str) -> list[str]:
    parts = ("std", "draw_std", "low", "high", "tied", "above_random_init", "mean_class")
    return [column, *(f"{column}_{part}" for part in parts)]


def to_markdown(leaderboard: Leaderboard, costs: Sequence[numbers.CostColumn] = numbers.COST_COLUMNS) -> str:
    """Return all tables in GitHub's markdown, ties in bold, with the given columns of costs."""
    parts = []
    for table in leaderboard.tables:
        headings = ["rank", "method", *(markdown(c.id) for c in table.columns), *(c.heading for c in costs)]
        lines = [
            f"### {markdown(numbers.title(table))}",
            "",
            _md_line(headings),
            _md_line(["--:", ":--"] + ["--:"] * (len(headings) - 2)),
        ]
        for row in table.rows:
            scores = [_md_score(row.scores.get(c.id), c, table) for c in table.columns]
            cost_cells = [numbers.cost(row.cost, c) for c in costs]
            name = markdown(numbers.label(row, table))
            lines.append(
                _md_line([numbers.rank(row), name if row.group == "methods" else f"*{name}*", *scores, *cost_cells])
            )
        legend = [markdown(_with_bold(sentence)) for sentence in numbers.legend(table)]
        links = [
            f"[{markdown(numbers.title(other))}](#{_anchor(numbers.title(other))})"
            for other in numbers.tables_of_other_backbones(table)
        ]
        legend += [f"Same images, another backbone: {', '.join(links)}."] if links else []
        parts.append("\n".join([*lines, "", "  \n".join(legend), ""]))
    return "\n".join(parts)


def _with_bold(sentence: str) -> str:
    """Return a sentence of the legend for a format that prints ties in bold."""
    return "Bold" + sentence.removeprefix(numbers.TIED) if sentence.startswith(numbers.TIED) else sentence


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", printable(title).lower()).replace(" ", "-")


def _md_line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _md_score(score: Score | None, column: Column, table: Table) -> str:
    text = numbers.score(score, column, mean_class=" / " if table.unequal else None)
    if score is None:
        return text
    text = f"**{text}**" if score.tied_with_best else text
    return text + (numbers.NOT_ABOVE if score.above_untrained is False else "")


def to_latex(leaderboard: Leaderboard, costs: Sequence[numbers.CostColumn] = ()) -> str:
    """Return all tables for the LaTeX package booktabs: ties in bold, groups separated by a rule, with the given columns of costs.

    The caption has the title and explains the marks; notes are below the table.
    """
    parts = []
    for table in leaderboard.tables:
        caption = " ".join([f"{numbers.title(table)}.", *map(_with_bold, numbers.explanations(table))])
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex(caption, longest=CAPTION)}}}"]
        lines += [rf"\begin{{tabular}}{{l{'r' * (len(table.columns) + 1 + len(costs))}}}", r"\toprule"]
        headings = ["method", *(c.id for c in table.columns), "rank", *(c.heading for c in costs)]
        lines.append(_tex_line([latex(heading) for heading in headings]))
        for _, rows in groupby(table.rows, key=lambda row: row.group):
            lines.append(r"\midrule")
            for row in rows:
                scores = [_tex_score(row.scores.get(c.id), c, table) for c in table.columns]
                cost_cells = [latex(numbers.cost(row.cost, c)) for c in costs]
                lines.append(_tex_line([latex(numbers.label(row, table)), *scores, numbers.rank(row), *cost_cells]))
        lines += [r"\bottomrule", r"\end{tabular}"]
        facts = [rf"\par {latex(sentence)}" for sentence in numbers.facts(table)]
        lines += [r"\par\medskip\raggedright\footnotesize", *facts] if facts else []
        parts.append("\n".join([*lines, r"\end{table}", ""]))
    return "\n".join(parts)


def _tex_line(entries: list[str]) -> str:
    return " & ".join(entries) + r" \\"


def _tex_score(score: Score | None, column: Column, table: Table) -> str:
    text = latex(numbers.score(score, column, mean_class=" / " if table.unequal else None))
    if score is None:
        return text
    text = rf"\textbf{{{text}}}" if score.tied_with_best else text
    return text + (latex(numbers.NOT_ABOVE) if score.above_untrained is False else "")


FORMATS: dict[str, Callable[[Leaderboard], str]] = dict(
    zip(NAMES, (to_markdown, to_csv, to_json, to_latex), strict=True)
)
"""The text formats of a leaderboard by name; the choices of `sslbench leaderboard --format`, next to `table`."""

COST_FORMATS: dict[str, Callable[[Leaderboard, Sequence[numbers.CostColumn]], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
}
"""The formats that have the costs on request."""


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
