"""A study's report on the screen, as markdown and as JSON."""

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from bench.reports.numbers import NONE
from bench.reports.wide_table import PrintedColumn, wide_table
from bench.studies.conclusions import NAMES
from bench.studies.manifest import Drawn
from bench.studies.study import Metric
from bench.studies.table import METRICS, Report, Row, Score


def screen(report: Report, width: int, drawn: Sequence[Drawn] = (), folder: str = "") -> RenderableType:
    """Return the report for a terminal of ``width`` columns."""
    shown = _metrics(report)
    left = [PrintedColumn("system", tuple(Text(row.name, "red" if _bad(row) else "") for row in report.rows))]
    columns = [
        [PrintedColumn(heading, tuple(Text(row[place]) for row in _cells(report)))]
        for place, heading in enumerate(_headings(report, shown))
    ]
    parts: list[RenderableType] = [Text(report.study.title, "bold"), Text(report.place, "dim")]
    parts += wide_table(left, [[one[0] for one in columns]], width)
    parts += [Text(line, "dim") for line in _legend(report)]
    parts.append(Text("\nConclusion", "bold"))
    parts += [Text(finding.sentence) for finding in report.findings]
    parts += [Text("\nWhat is done otherwise here, and what to know", "bold")] if report.notes else []
    parts += [Text(note, "dim") for note in report.notes]
    if drawn:
        parts.append(Text(f"\nFigures in {folder}: {', '.join(one.file for one in drawn)}", "dim"))
    return Group(*parts)


def to_markdown(report: Report, drawn: Sequence[Drawn] = ()) -> str:
    """Return the report in GitHub's markdown, its pictures beside it."""
    study = report.study
    headings = ["system", *(heading.replace("\n", " ") for heading in _headings(report, _metrics(report)))]
    lines = [f"# {_md(study.title)}", ""]
    lines += [_md(study.published) + (f" Source: {study.source}." if study.source else ""), ""]
    lines += [f"SystemResult on {_md(report.place)}.", ""]
    lines += [_line(headings), _line([":--"] + ["--:"] * (len(headings) - 1))]
    for row, entries in zip(report.rows, _cells(report), strict=True):
        lines.append(_line([_md(row.name), *map(_md, entries)]))
    lines += ["", *(f"{_md(line)}  " for line in _legend(report)), "", "## Conclusion", ""]
    lines += [f"- {_md(finding.sentence)}" for finding in report.findings]
    lines += ["", "## What is done otherwise here, and what to know", ""] if report.notes else []
    lines += [f"- {_md(note)}" for note in report.notes]
    for one in drawn:
        title = one.caption.partition(". ")[0]
        lines += ["", f"![{_md(title)}]({one.file})", "", _md(one.caption)]
    return "\n".join(lines) + "\n"


def to_table(report: Report) -> dict[str, Any]:
    """Return the report as plain JSON values: percent, and null for no value."""
    return {
        "study": report.study.name,
        "title": report.study.title,
        "source": report.study.source,
        "place": report.place,
        "test_images": report.images,
        "chance": {metric: _rounded(report.chance(metric)) for metric in METRICS},
        "rows": [_row(row) for row in report.rows],
        "beside": [{"name": one.name, "top1": one.top1, "top5": one.top5} for one in report.study.beside],
        "conclusion": [
            {
                "sentence": one.sentence,
                "verdict": one.verdict,
                "difference": _rounded(one.value),
                "interval": [_rounded(end) for end in one.interval] if one.interval else None,
            }
            for one in report.findings
        ],
        "notes": list(report.notes),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "protocol": row.protocol,
        "backbone": row.backbone,
        "seeds": row.seeds,
        "draws": row.draws,
        "status": row.status,
        "cause": row.cause,
        "note": row.note,
        "scores": {metric: _score(found) for metric, found in row.scores.items()},
    }


def _score(found: Score) -> dict[str, Any]:
    return {
        "mean": _rounded(found.mean),
        "std": _rounded(found.std),
        "draw_std": _rounded(found.draw_std),
        "interval": [_rounded(end) for end in found.interval] if found.interval else None,
        "published": found.published,
        "less_published": _rounded(found.less_published),
    }


def _metrics(report: Report) -> list[Metric]:
    """Return top-1, and top-5 where the study speaks of it."""
    asked = any(c.metric == "top5" for c in report.study.comparisons)
    asked |= any("top5" in system.published for system in report.study.systems)
    return ["top1", "top5"] if asked else ["top1"]


def _headings(report: Report, shown: Sequence[Metric]) -> list[str]:
    headings = []
    for metric in shown:
        headings += [NAMES[metric], f"spread\n{NAMES[metric]}"]
    return [*headings, "published", "less\npublished", "seeds ×\ndraws", "protocol"]


def _cells(report: Report) -> list[list[str]]:
    shown = _metrics(report)
    rows = []
    for row in report.rows:
        entries = []
        for metric in shown:
            found = row.scores.get(metric)
            entries += [_mean(found), _number(found.draw_std if found else None)]
        told = next((row.scores[m] for m in shown if m in row.scores and row.scores[m].published is not None), None)
        entries += [
            _number(told.published if told else None),
            f"{told.less_published:+.1f}" if told and told.less_published is not None else NONE,
            f"{row.seeds} × {row.draws}" if row.seeds else row.status or "not run",
            _protocol(row.protocol),
        ]
        rows.append(entries)
    return rows


def _protocol(protocol: str) -> str:
    """Return a protocol's id; what a search changed stands in the legend."""
    base, sign, _ = protocol.partition("@")
    return f"{base}{sign}…" if sign else base


def _mean(found: Score | None) -> str:
    if found is None:
        return NONE
    return f"{found.mean:.1f}" + (f" ± {found.std:.1f}" if found.std is not None else "")


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}" if round(value, 1) != round(value, 2) else f"{value:.1f}"


def _legend(report: Report) -> list[str]:
    chances = [
        f"chance {chance:.3g} at {NAMES[metric]}"
        for metric in _metrics(report)
        if (chance := report.chance(metric)) is not None
    ]
    images = f" on {report.images:,} test images" if report.images else ""
    lines = [
        f"Accuracy in percent{images}; {', '.join(chances) or 'chance not known'}. ± deviation over seeds; spread: over draws of labels."
    ]
    for one in report.study.beside:
        figures = [f"{NAMES[m]} {value:g}" for m in METRICS if (value := getattr(one, m)) is not None]
        lines.append(f"Published beside: {one.name}: {', '.join(figures)}.")
    for row in report.rows:
        if row.note:
            lines.append(f"{row.name}: {row.note}.")
        if _bad(row):
            lines.append(f"{row.name}: {row.status or 'no record'}{f', {row.cause}' if row.cause else ''}.")
    return lines


def _bad(row: Row) -> bool:
    return row.status != "ok"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _line(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _md(text: str) -> str:
    return re.sub(r"([|*_<`\\])", r"\\\1", text)
