"""Published scores that no run of the study repeats, compared with the rows of its table. Pure."""

from collections.abc import Mapping, Sequence

from bench.studies.conclusions import Finding
from bench.studies.rows import Row
from bench.studies.study import PublishedScore, Study


def against_published(study: Study, rows: Sequence[Row], of_system: Mapping[str, Row]) -> list[Finding]:
    """Return one sentence per published score: on the rows that it names, or else on the best row of the table.

    Args:
        study: The study.
        rows: All rows of its table.
        of_system: The row of each system, by id.
    """
    scored = [row for row in rows if "top1" in row.scores]
    found = []
    for published in study.other_published:
        if published.top1 is None:
            continue
        if published.systems:
            named = [row for id in published.systems if (row := of_system[id]) in scored]
            found += [_sides(published, published.top1, named)] if named and named[0].scores["top1"].same_data else []
        elif scored:
            found.append(_best(published, published.top1, scored))
    return found


def _best(published: PublishedScore, top1: float, rows: Sequence[Row]) -> Finding:
    best = max(rows, key=lambda row: row.scores["top1"].mean)
    score = best.scores["top1"]
    ends = f", 95 % interval {score.interval[0]:.2f} to {score.interval[1]:.2f}" if score.interval else ""
    subject = f"{best.name[0].upper()}{best.name[1:]} has the best top-1 of the table"
    return Finding(
        f"{subject}: {score.mean:.2f}, an error of {100 - score.mean:.2f} %{ends}. Published: "
        f"{published.name}: {top1:.2f}.",
        None,
    )


def _sides(published: PublishedScore, top1: float, rows: Sequence[Row]) -> Finding:
    """Return which rows are above and which are below a published score, whose own uncertainty is not counted."""
    above, below, open_, unknown = list[str](), list[str](), list[str](), list[str]()
    for row in rows:
        score = row.scores["top1"]
        if score.interval is None:
            unknown.append(row.name)
            continue
        low, high = score.interval
        shown = f"{row.name} ({score.mean - top1:+.2f}, {low - top1:+.2f} to {high - top1:+.2f})"
        (above if low > top1 else below if high < top1 else open_).append(shown)
    sides = (("above it", above), ("below it", below), ("not distinguished", open_), ("without an interval", unknown))
    parts = [f"{side}: {', '.join(names)}" for side, names in sides if names]
    single = " (rows with one seed: the interval does not include the variation between seeds)"
    return Finding(
        f"{published.name}, top-1 {top1:.2f}; differences of our rows in points, with 95 % intervals: {'; '.join(parts)}"
        f"{single if any(row.seeds < 2 for row in rows) else ''}.",
        None,
    )
