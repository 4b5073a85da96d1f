"""The leaderboard as JSON and CSV."""

import csv
import io
import json
import math
from typing import Any

from bench.leaderboard.tables import Column, Leaderboard, Row, Score, Table
from bench.printable import csv_cell, json_text

SCHEMA_VERSION = 2


def to_json(leaderboard: Leaderboard) -> str:
    """Return the JSON that ``results/leaderboard.schema.json`` describes: accuracies in percent, null for a missing value."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "tables": [_table(table) for table in leaderboard.tables],
        "stale": [str(stale) for stale in leaderboard.stale],
    }
    if leaderboard.transfers:
        data["transfers"] = [_table(table) | _pair(table) for table in leaderboard.transfers]
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


def _pair(table: Table) -> dict[str, Any]:
    return {"measured_on": table.measured_on, "measured_on_fingerprint": table.measured_on_fingerprint}


def _row(row: Row, table: Table) -> dict[str, Any]:
    return {
        "method": row.method,
        "settings": row.settings,
        "plugin": row.plugin,
        "group": row.group,
        "seeds": list(row.seeds),
        "deterministic": row.deterministic,
        "status": row.status,
        "cause": row.cause,
        "rank": _rounded(row.rank),
        "rank_interval": _interval(row.rank_interval),
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
    gap = score.gap if score else None
    return {
        "mean": _rounded(score.mean) if score else None,
        "std": _rounded(score.std) if score else None,
        "draw_std": _rounded(score.draw_std) if score else None,
        "interval": _interval(score.interval if score else None),
        "could_be_best": score.could_be_best if score else None,
        "gap": {"value": _rounded(gap.value), "interval": _interval(gap.interval)} if gap else None,
        "above_random_init": score.above_untrained if score else None,
        "surely_above_random_init": score.surely_above_untrained if score else None,
        "seeds": score.seeds if score else 0,
        "metrics": {name: _rounded(value) for name, value in score.metrics.items()} if score else {},
    }


def _interval(ends: tuple[float, float] | None) -> list[float | None] | None:
    return None if ends is None else [_rounded(end) for end in ends]


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
    """Return one line per row of all tables: scores with deviations, intervals, gaps and mean class accuracies, and costs.

    Scores on another data set than that of pretraining are in columns of their own, ``transfer-knn`` …, and ``measured_on`` names it.
    """
    columns = list(dict.fromkeys(_csv_name(c, table) for table in leaderboard.every_table for c in table.columns))
    lines = []
    for table in leaderboard.every_table:
        for row in table.rows:
            flat = _row(row, table)
            line = {name: getattr(table, name) for name in ("dataset", "fingerprint", "backbone", "budget", "task")}
            line |= _pair(table) if leaderboard.transfers else {}
            line |= {"tuned": table.tuned, "largest_class": _percent(table.largest_class)}
            line |= {name: flat[name] for name in ("method", "group", "status", "cause", "rank")}
            line["rank_low"], line["rank_high"] = flat["rank_interval"] or (None, None)
            line |= {
                "settings": json.dumps(row.settings) if row.settings else None,
                "plugin": row.plugin,
                "seeds": " ".join(map(str, row.seeds)),
                "deterministic": _YES[row.deterministic],
            }
            scores = {_csv_name(column, table): flat["scores"][column.id] for column in table.columns}
            for name in columns:
                line |= _csv_score(name, scores.get(name) or _score(None))
            line |= flat["cost"] | {name: flat[name] for name in ("device", "precision")}
            lines.append(line | {"notes": " ".join(row.notes) or None})
    text = io.StringIO()
    if lines:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(csv_cell(name) for name in lines[0])
        writer.writerows([csv_cell(v) if isinstance(v, str) else v for v in line.values()] for line in lines)
    return text.getvalue()


def _csv_name(column: Column, table: Table) -> str:
    return f"transfer-{column.id}" if table.measured_on else column.id


_YES = {True: "yes", False: "no", None: None}


def _csv_score(column: str, score: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a column in one line, from a score in its JSON form."""
    low, high = score["interval"] or (None, None)
    gap = score["gap"] or {"value": None, "interval": (None, None)}
    fields = {
        "std": score["std"],
        "draw_std": score["draw_std"],
        "low": low,
        "high": high,
        "could_be_best": _YES[score["could_be_best"]],
        "gap": gap["value"],
        "gap_low": gap["interval"][0],
        "gap_high": gap["interval"][1],
        "above_random_init": _YES[score["above_random_init"]],
        "mean_class": score["metrics"].get("mean_class"),
    }
    return {column: score["mean"]} | {f"{column}_{name}": value for name, value in fields.items()}
