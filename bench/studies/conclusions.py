"""The conclusion of a study: sentences written from differences and their intervals; pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.leaderboard.rows import answers_of
from bench.leaderboard.significance import Answers, Difference, difference, unpaired
from bench.planning.plan import place
from bench.records.record import Record
from bench.studies.results import StudyResults, SystemResult, measurements
from bench.studies.study import Comparison, Metric, Study

Verdict = Literal["holds", "does not hold", "cannot tell"]
NAMES: dict[Metric, str] = {"top1": "top-1", "top5": "top-5"}


@dataclass(frozen=True)
class Finding:
    """What became of one published finding.

    Attributes:
        sentence: For a reader.
        verdict: In one word; None where the study claims nothing.
        value: First less second, in points; None where a side is missing.
        interval: 95 %, in points.
    """

    sentence: str
    verdict: Verdict | None
    value: float | None = None
    interval: tuple[float, float] | None = None


def findings(study: Study, evidence: StudyResults) -> list[Finding]:
    """Return what became of each comparison, and of those whose sides were both searched once more."""
    found = []
    for comparison in study.comparisons:
        before = _compared(study, comparison, evidence.systems)
        found.append(before)
        if comparison.first in evidence.searched and comparison.second in evidence.searched:
            found.append(_after_search(study, comparison, evidence, before))
    return found


def _compared(study: Study, comparison: Comparison, measured: Mapping[str, SystemResult], after: str = "") -> Finding:
    first, second = study.system(comparison.first), study.system(comparison.second)
    found = _difference(measured[first.id], measured[second.id], comparison.metric)
    if found is None:
        return Finding(f"{first.name} against {second.name}: not measured on both sides, so nothing can be said.", None)
    value, (low, high) = 100 * found.value, (100 * found.interval[0], 100 * found.interval[1])
    verdict: Verdict = "holds" if low > 0 else "does not hold" if high < 0 else "cannot tell"
    figures = f"{value:+.2f} points of {NAMES[comparison.metric]}, 95 % interval {low:+.2f} to {high:+.2f}"
    published = comparison.published
    if published is not None:
        figures += f"; published {published:+.2f}"
    said = {
        "holds": "is better than",
        "does not hold": "is worse than",
        "cannot tell": "cannot be told apart from",
    }[verdict]
    sentence = f"{after}{first.name} {said} {second.name} ({figures})"
    sentence = sentence[0].upper() + sentence[1:]
    if comparison.finding is not None and not after:
        sentence += {
            "holds": f": the finding ({comparison.finding}) holds here",
            "does not hold": f": the finding ({comparison.finding}) does not hold here, it is the other way round",
            "cannot tell": f": whether the finding ({comparison.finding}) holds cannot be told from these runs",
        }[verdict]
    if published is not None and not after:
        if high < published:
            sentence += ", and the published size lies above the interval"
        elif low > published:
            sentence += ", by more than was published"
    sides = [measurements(measured[id]) for id in (first.id, second.id)]
    if min(map(len, sides)) < 2:
        sentence += " (one seed on a side: its noise of pretraining is taken from the other, or not in it)"
    return Finding(sentence + ".", verdict if comparison.finding is not None else None, value, (low, high))


def _after_search(study: Study, comparison: Comparison, evidence: StudyResults, before: Finding) -> Finding:
    """Say whether a gain outlives the same search for both sides."""
    settings = math.prod(len(values) for values in study.search.grid.values()) if study.search else 0
    after = _compared(
        study, comparison, evidence.searched,
        f"After both were searched over the same {settings} settings (and their own) on the development task, ",
    )  # fmt: skip
    if after.interval is None or before.value is None or before.interval is None:
        return after
    low, high = after.interval
    if low > 0 and before.interval[0] > 0 and after.value is not None:
        answer = f"The gain comes from the approach: {after.value:.1f} of {before.value:.1f} points outlive the search."
    elif low > 0:
        answer = "The approach is better once both are searched."
    elif high < 0 or before.interval[0] > 0:
        answer = "The gain comes from the hyper-parameters: it is gone when both are searched."
    else:
        answer = "Whether approach or hyper-parameters made the gain cannot be told: there is none before the search."
    return Finding(f"{after.sentence} {answer}", after.verdict, after.value, after.interval)


def _difference(first: SystemResult, second: SystemResult, metric: Metric) -> Difference | None:
    sides = [measurements(first), measurements(second)]
    if not all(sides) or any(metric not in m.metrics for side in sides for m in side):
        return None
    if metric == "top1":
        answers: list[Answers | None] = [answers_of(side) for side in sides]
        if answers[0] is not None and answers[1] is not None and answers[0].paired(answers[1]):
            return difference(answers[0], answers[1])
    tables = [[[draw[metric] for draw in m.draws] for m in side] for side in sides]
    return unpaired(tables[0], tables[1], (sides[0][0].images, sides[1][0].images))


def finite(records: Sequence[Record]) -> Finding:
    """Say whether every pretraining kept a finite loss to its end."""
    trained = list({place(r.identity): r for r in records if r.curve or r.status == "diverged"}.values())
    lost = [r for r in trained if r.status == "diverged"]
    if lost:
        causes = "; ".join(
            f"{r.identity.method} on {r.identity.backbone}, seed {r.identity.seed}: {r.cause}" for r in lost
        )
        return Finding(f"{len(lost)} of {len(trained)} pretrainings became infinite or NaN: {causes}.", None)
    steps = max((int(r.curve["step"][-1]) for r in trained if r.curve.get("step")), default=0)
    return Finding(
        f"The loss of all {len(trained)} pretrainings stayed finite to the last step (at most {steps:,} steps)."
        if trained
        else "Nothing was pretrained.",
        None,
    )
