"""A study's report for the terminal, as markdown and as JSON."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from rich.console import Group, RenderableType
from rich.text import Text

from bench.printable import markdown, printable
from bench.reports.numbers import NONE
from bench.reports.wide_table import PrintedColumn, wide_table
from bench.studies.conclusions import NAMES
from bench.studies.manifest import Picture
from bench.studies.rows import METRICS, Row, Score
from bench.studies.study import Metric, Study
from bench.studies.table import Report

LONGEST_LINE = 10_000
"""Largest number of characters of a text that is shown whole."""
NOTES_TITLE = "Differences from the published setup, and notes"


def screen(report: Report, width: int, pictures: Sequence[Picture] = (), folder: str = "") -> RenderableType:
    """Return the report for a terminal of ``width`` columns."""
    left = [PrintedColumn("system", tuple(_text(row.name, "red" if _is_bad(row) else "") for row in report.rows))]
    cells = _cells(report)
    columns = [
        [PrintedColumn(heading, tuple(_text(row[number]) for row in cells))]
        for number, heading in enumerate(_headings(report))
    ]
    parts: list[RenderableType] = [_text(report.study.title, "bold"), _text(source_line(report.study), "dim")]
    parts.append(_text(report.measured_on, "dim"))
    parts += wide_table(left, [[column[0] for column in columns]], width)
    parts += [_text(line, "dim") for line in _legend(report)]
    parts.append(Text("\nConclusion", "bold"))
    parts += [_text(finding.sentence) for finding in report.findings]
    parts += [Text(f"\n{NOTES_TITLE}", "bold")] if report.notes else []
    parts += [_text(note, "dim") for note in report.notes]
    if pictures:
        parts.append(Text())
        parts.append(_text(f"Figures in {folder}: {', '.join(picture.file for picture in pictures)}", "dim"))
    return Group(*parts)


def source_line(study: Study) -> str:
    """Return where the published scores come from."""
    return f"Source: {study.source}" if study.source else "Source: not known"


def _text(line: str, style: str = "") -> Text:
    return Text(printable(line, LONGEST_LINE), style)


def to_markdown(report: Report, pictures: Sequence[Picture] = ()) -> str:
    """Return the report in GitHub's markdown; it links to the pictures, which are in the same folder."""
    study = report.study
    headings = ["system", *(heading.replace("\n", " ") for heading in _headings(report))]
    lines = [f"# {markdown(study.title)}", ""]
    lines += [markdown(study.published), "", markdown(source_line(study)), ""]
    lines += [f"Measured on {markdown(report.measured_on)}.", ""]
    lines += [_line(headings), _line([":--"] + ["--:"] * (len(headings) - 1))]
    for row, entries in zip(report.rows, _cells(report), strict=True):
        lines.append(_line([markdown(row.name), *map(markdown, entries)]))
    lines += ["", *(f"{markdown(line)}  " for line in _legend(report)), "", "## Conclusion", ""]
    lines += [f"- {markdown(finding.sentence)}" for finding in report.findings]
    lines += ["", f"## {NOTES_TITLE}", ""] if report.notes else []
    lines += [f"- {markdown(note)}" for note in report.notes]
    for picture in pictures:
        title = picture.caption.partition(". ")[0]
        lines += ["", f"![{markdown(title)}]({quote(picture.file)})", "", markdown(picture.caption)]
    return "\n".join(lines) + "\n"


def plain_table(report: Report) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Return the headings, the rows and the legend of the report's table as text."""
    headings = ("system", *(heading.replace("\n", " ") for heading in _headings(report)))
    rows = tuple((row.name, *cells) for row, cells in zip(report.rows, _cells(report), strict=True))
    return headings, rows, tuple(_legend(report))


def to_table(report: Report) -> dict[str, Any]:
    """Return the report as plain JSON values: scores in percent, null for no value."""
    return {
        "study": report.study.name,
        "title": report.study.title,
        "source": report.study.source,
        "place": report.measured_on,
        "test_images": report.images,
        "chance": {metric: _rounded(report.chance(metric)) for metric in METRICS},
        "rows": [_row(row) for row in report.rows],
        "beside": [{"name": p.name, "top1": p.top1, "top5": p.top5} for p in report.study.other_published],
        "conclusion": [
            {
                "sentence": finding.sentence,
                "verdict": finding.verdict,
                "difference": _rounded(finding.value),
                "interval": [_rounded(end) for end in finding.interval] if finding.interval else None,
            }
            for finding in report.findings
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
        "scores": {metric: _score(score) for metric, score in row.scores.items()},
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "mean": _rounded(score.mean),
        "std": _rounded(score.std),
        "draw_std": _rounded(score.draw_std),
        "interval": [_rounded(end) for end in score.interval] if score.interval else None,
        "published": score.published,
        "less_published": _rounded(score.less_published),
    }


def _metrics(report: Report) -> list[Metric]:
    """Return top-1, and top-5 if the study compares or publishes it."""
    top5 = any(c.metric == "top5" for c in report.study.comparisons)
    top5 |= any("top5" in system.published for system in report.study.systems)
    return ["top1", "top5"] if top5 else ["top1"]


def _headings(report: Report) -> list[str]:
    headings = []
    for metric in _metrics(report):
        headings += [NAMES[metric], f"spread\n{NAMES[metric]}"]
    return [*headings, "published", "difference", "seeds ×\ndraws", "protocol"]


def _cells(report: Report) -> list[list[str]]:
    metrics = _metrics(report)
    rows = []
    for row in report.rows:
        entries = []
        for metric in metrics:
            score = row.scores.get(metric)
            entries += [_mean(score), _number(score.draw_std if score else None)]
        shown = [row.scores[metric] for metric in metrics if metric in row.scores]
        compared = next((score for score in shown if score.published is not None), None)
        entries += [
            _number(compared.published if compared else None),
            f"{compared.less_published:+.1f}" if compared and compared.less_published is not None else NONE,
            f"{row.seeds} × {row.draws}" if row.seeds else row.status or "not run",
            _short_protocol(row.protocol),
        ]
        rows.append(entries)
    return rows


def _short_protocol(protocol: str) -> str:
    """Return a protocol's id with its changed constants abbreviated to ``…``."""
    base, sign, _ = protocol.partition("@")
    return f"{base}{sign}…" if sign else base


def _mean(score: Score | None) -> str:
    if score is None:
        return NONE
    return f"{score.mean:.1f}" + (f" ± {score.std:.1f}" if score.std is not None else "")


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}" if round(value, 1) != round(value, 2) else f"{value:.1f}"


def _legend(report: Report) -> list[str]:
    chances = [
        f"{chance:.3g} for {NAMES[metric]}"
        for metric in _metrics(report)
        if (chance := report.chance(metric)) is not None
    ]
    images = f" on {report.images:,} test images" if report.images else ""
    lines = [
        f"Accuracy in percent{images}; chance: {', '.join(chances) or 'unknown'}. ±: standard deviation over seeds; "
        "spread: standard deviation over draws of the labels; difference: measured minus published."
    ]
    for published in report.study.other_published:
        scores = [f"{NAMES[m]} {value:g}" for m in METRICS if (value := getattr(published, m)) is not None]
        lines.append(f"Also published: {published.name}: {', '.join(scores)}.")
    for row in report.rows:
        if row.note:
            lines.append(f"{row.name}: {row.note}.")
        if _is_bad(row):
            lines.append(f"{row.name}: {row.status or 'no record'}{f', {row.cause}' if row.cause else ''}.")
    return lines


def _is_bad(row: Row) -> bool:
    return row.status != "ok"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _line(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"
