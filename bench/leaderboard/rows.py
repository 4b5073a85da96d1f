"""One row of a table from the records of one method, one record per seed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench.filenames import settings_text
from bench.leaderboard.significance import Answers, interval, unpack
from bench.leaderboard.tables import Column, Group, Row, Score
from bench.records.record import NO_BUDGET, Cost, Measurement, Record, Status

FLOOR_AND_CEILING = ("pixels", "random_init", "supervised")
"""The methods of sslbench in this group, for records of version 1, which do not store what the method declares."""
WORST_FIRST: tuple[Status, ...] = ("failed", "diverged", "interrupted", "collapsed", "ok")
ACCURACIES = ("top1", "top5", "mean_class")


def build_row(records: Sequence[Record], columns: Sequence[Column], tuned: int | None = None) -> Row:
    """Return the row of one method with its settings, still without rank and comparisons.

    Args:
        records: One per seed, in the order of the seeds; at least one.
        columns: The columns to fill.
        tuned: Number of trials of the search that found the settings, which then do not change the row's group; None for no search.
    """
    identity = records[0].identity
    worst = min(records, key=lambda r: WORST_FIRST.index(r.status))
    cause = worst.cause if len(records) == 1 or worst.cause is None else f"seed {worst.identity.seed}: {worst.cause}"
    scores, answers = {}, {}
    fixed = _is_fixed(records)
    for column in columns:
        found = [m for r in records if (m := column.of(r)) and _value(m, column) is not None]
        if not found or column.same_as:
            continue
        deterministic = fixed and column.percent and _deterministic(found, identity.plugin)
        column_answers = answers_of(found, deterministic=deterministic, fixed_conditions=column.fixed_conditions)
        if column_answers is not None:
            answers[column.id] = column_answers
        scores[column.id] = _score(found, column, column_answers, deterministic)
    return Row(
        method=identity.method,
        settings=identity.settings,
        group=_group(records, tuned is not None),
        seeds=tuple(r.identity.seed for r in records),
        status=worst.status,
        cause=cause,
        rank=None,
        scores=scores,
        answers=answers,
        cost=_cost(records),
        device=_joined(str(r.environment.get("device", "unknown")).split(":")[0] for r in records) or "unknown",
        # Precision belongs to pretraining; features are float32 everywhere.
        precision=_joined(str(r.environment.get("precision", "unknown")) for r in records if r.cost.pretrain_s) or None,
        plugin=identity.plugin,
        notes=(*_notes(records), *_found_by(records[0], tuned)),
        tuned=tuned,
    )


def declared_groups(records: Sequence[Record]) -> dict[int, Group]:
    """Return for each seed the group that the method declared; where the record does not store it, the group of its name."""
    by_name: Group = "floor and ceiling" if records[0].identity.method in FLOOR_AND_CEILING else "methods"
    return {r.identity.seed: r.group or by_name for r in records}


def _group(records: Sequence[Record], tuned: bool) -> Group:
    """Return the group of a row; if its seeds declared different ones, one that is not ranked."""
    identity, declared = records[0].identity, set(declared_groups(records).values())
    if identity.budget == NO_BUDGET or "elsewhere" in declared:
        return "elsewhere"
    if identity.settings and not tuned:
        return "changed settings"
    if "floor and ceiling" in declared or identity.method in FLOOR_AND_CEILING:
        return "floor and ceiling"
    return "methods"


def _notes(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the notes of all seeds, and that the seeds declared different groups, if so."""
    notes = list(dict.fromkeys(note for r in records for note in r.notes))
    declared = declared_groups(records)
    if len(set(declared.values())) > 1:
        groups = ", ".join(f"seed {seed}: {group}" for seed, group in declared.items())
        notes.append(f"the seeds declare different groups ({groups}), so the row is not ranked")
    return tuple(notes)


def _found_by(record: Record, tuned: int | None) -> list[str]:
    """Return the note of a tuned row: its settings."""
    if tuned is None or tuned not in record.tuned:
        return []
    identity = record.identity
    found = settings_text(identity.settings) or "the shipped recipe"
    return [f"{identity.method}, best of {tuned:,} trials: {found}"]


def _value(measurement: Measurement, column: Column) -> float | None:
    """Return the score; an accuracy that is not a finite number is missing."""
    value = measurement.metrics.get(column.metric)
    return None if value is None or (column.percent and not math.isfinite(value)) else value


def _is_fixed(records: Sequence[Record]) -> bool:
    """Return whether every seed has the same encoder: nothing was trained and there are no parameters to draw."""
    return all(r.cost.pretrain_s is None and r.cost.parameters == 0 for r in records)


def _deterministic(found: Sequence[Measurement], plugin: str | None) -> bool:
    """Return whether every seed gives the same answers by construction, from the measurements of a fixed encoder.

    Protocols that train a head draw numbers and have curves, and a plugin can draw numbers that are no parameters. So these need two
    or more seeds that give the same answers.
    """
    if len(found) == 1:
        return plugin is None and not found[0].curves
    return all((m.correct, m.label_sets) == (found[0].correct, found[0].label_sets) for m in found)


def answers_of(
    found: Sequence[Measurement], *, deterministic: bool = False, fixed_conditions: bool = False
) -> Answers | None:
    """Return the answers under one protocol, from one measurement per seed; None if images or label sets differ.

    Args:
        found: The measurements.
        deterministic: Whether every seed gives the same answers by construction.
        fixed_conditions: Whether the draws are conditions that are no sample of any larger number: they count as one draw, in which an
            image is right to the share of the conditions.
    """
    if len({(m.images, m.label_sets) for m in found}) > 1:
        return None
    answers = unpack([m.correct for m in found], found[0].images, found[0].label_sets)
    if answers is None:
        return None
    by_draw = answers.by_draw.mean(axis=0, keepdims=True) if fixed_conditions else answers.by_draw
    return replace(answers, by_draw=by_draw, deterministic=deterministic)


def _score(found: Sequence[Measurement], column: Column, answers: Answers | None, deterministic: bool) -> Score:
    scale = 100.0 if column.percent else 1.0
    values = [value * scale for m in found if (value := _value(m, column)) is not None]
    draws = [[draw["top1"] * scale for draw in m.draws if "top1" in draw] for m in found] if column.percent else []
    same_count = len({len(d) for d in draws}) == 1
    draw_means = [mean(d) for d in zip(*draws, strict=True)] if same_count else []
    bounds = interval(answers) if answers is not None else None
    others = {name for m in found for name in m.metrics}
    others -= {column.metric}
    return Score(
        mean=mean(values),
        std=None if deterministic else deviation(values),
        draw_std=None if column.fixed_conditions else deviation(draw_means),
        interval=(bounds[0] * 100, bounds[1] * 100) if bounds is not None else None,
        metrics={name: _mean_metric(found, name) for name in sorted(others)},
        seeds=len(found),
        deterministic=deterministic,
    )


def _mean_metric(found: Sequence[Measurement], name: str) -> float:
    values = [m.metrics[name] * (100 if name in ACCURACIES else 1) for m in found if name in m.metrics]
    return mean(values)


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN if a value is not finite and there are several."""
    if len(values) == 1:
        return values[0]
    if not all(map(math.isfinite, values)):
        return math.nan
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(v / len(values) for v in values)


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation (n - 1), or None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.hypot(*(v - centre for v in values)) / math.sqrt(len(values) - 1)


def _cost(records: Sequence[Record]) -> Cost:
    """Return mean times and speeds over seeds, and the highest peak of memory."""

    def values(name: str) -> list[Any]:
        return [value for r in records if (value := getattr(r.cost, name)) is not None]

    def average(name: str) -> float | None:
        return mean(values(name)) if values(name) else None

    return Cost(
        pretrain_s=average("pretrain_s"),
        evaluate_s=average("evaluate_s"),
        images_per_s=average("images_per_s"),
        peak_memory_mb=max(values("peak_memory_mb"), default=None),
        parameters=max(values("parameters"), default=None),
        views_per_image=max(values("views_per_image"), default=None),
    )


def _joined(names: Iterable[str]) -> str:
    return " + ".join(sorted(set(names)))
