"""The conclusion of a study: sentences about differences and their intervals. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.leaderboard.rows import answers_of
from bench.leaderboard.significance import Answers, Difference, difference, unpaired
from bench.planning.plan import run_key
from bench.records.record import Record
from bench.studies.results import StudyResults, SystemResult, measurements
from bench.studies.study import Comparison, Metric, Study

Verdict = Literal["holds", "does not hold", "cannot tell"]
NAMES: dict[Metric, str] = {"top1": "top-1", "top5": "top-5"}


@dataclass(frozen=True)
class Finding:
    """One sentence of the conclusion.

    Attributes:
        sentence: The sentence.
        verdict: Whether the published finding holds; None if the study claims nothing.
        value: First minus second, in points; None if one of them was not measured.
        interval: 95 % interval of the difference, in points.
    """

    sentence: str
    verdict: Verdict | None
    value: float | None = None
    interval: tuple[float, float] | None = None


def findings(study: Study, results: StudyResults) -> list[Finding]:
    """Return one finding per comparison, and a second one if both of its systems were searched."""
    found = []
    for comparison in study.comparisons:
        before = _compare(study, comparison, results.systems)
        found.append(before)
        if comparison.first in results.searched and comparison.second in results.searched:
            found.append(_compare_after_search(study, comparison, results, before))
    return found


def _compare(study: Study, comparison: Comparison, results: Mapping[str, SystemResult], after: str = "") -> Finding:
    """Return the finding of one comparison; ``after`` is the beginning of the sentence if it is about a search."""
    first, second = study.system(comparison.first), study.system(comparison.second)
    found = _difference(results[first.id], results[second.id], comparison.metric)
    if found is None:
        return Finding(f"{first.name} and {second.name} cannot be compared: at least one was not measured.", None)
    value, (low, high) = 100 * found.value, (100 * found.interval[0], 100 * found.interval[1])
    verdict: Verdict = "holds" if low > 0 else "does not hold" if high < 0 else "cannot tell"
    numbers = f"{value:+.2f} points of {NAMES[comparison.metric]}, 95 % interval {low:+.2f} to {high:+.2f}"
    published = comparison.published
    if published is not None:
        numbers += f"; published {published:+.2f}"
    relation = {
        "holds": "is better than",
        "does not hold": "is worse than",
        "cannot tell": "cannot be distinguished from",
    }[verdict]
    sentence = f"{after}{first.name} {relation} {second.name} ({numbers})"
    sentence = sentence[0].upper() + sentence[1:]
    if comparison.finding is not None and not after:
        sentence += {
            "holds": f": the published finding ({comparison.finding}) holds here",
            "does not hold": f": the published finding ({comparison.finding}) does not hold here; the opposite is true",
            "cannot tell": f": these runs do not show whether the published finding ({comparison.finding}) holds",
        }[verdict]
    if published is not None and not after:
        if high < published:
            sentence += ", and the published difference is above the interval"
        elif low > published:
            sentence += ", and the difference is larger than published"
    fewest, most = sorted(len(measurements(results[id])) for id in (first.id, second.id))
    if most < 2:
        sentence += " (one seed each: the interval does not include the variation between seeds)"
    elif fewest < 2:
        sentence += " (one of them has a single seed: the interval takes the variation between seeds from the other)"
    return Finding(sentence + ".", verdict if comparison.finding is not None else None, value, (low, high))


def _compare_after_search(study: Study, comparison: Comparison, results: StudyResults, before: Finding) -> Finding:
    """Return whether the gain remains after the same search for both systems."""
    settings = math.prod(len(values) for values in study.search.grid.values()) if study.search else 0
    after = _compare(
        study, comparison, results.searched,
        f"After both were searched over the same {settings} settings (and their own) on the development task, ",
    )  # fmt: skip
    if after.interval is None or before.value is None or before.interval is None:
        return after
    low, high = after.interval
    if low > 0 and before.interval[0] > 0 and after.value is not None:
        answer = (
            f"The gain comes from the approach: {after.value:.1f} of {before.value:.1f} points remain after the search."
        )
    elif low > 0:
        answer = "The approach is better once both are searched."
    elif high < 0 or before.interval[0] > 0:
        answer = "The gain comes from the hyper-parameters: it disappears when both are searched."
    else:
        answer = "There is no clear gain before the search, so its source cannot be determined."
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


def loss_finding(records: Sequence[Record]) -> Finding:
    """Return whether the loss of every pretraining stayed finite to the end."""
    trained = list({run_key(r.identity): r for r in records if r.curve or r.status == "diverged"}.values())
    diverged = [r for r in trained if r.status == "diverged"]
    if diverged:
        causes = "; ".join(
            f"{r.identity.method} on {r.identity.backbone}, seed {r.identity.seed}: {r.cause}" for r in diverged
        )
        return Finding(
            f"The loss of {len(diverged)} of {len(trained)} pretrainings became infinite or NaN: {causes}.", None
        )
    steps = max((int(r.curve["step"][-1]) for r in trained if r.curve.get("step")), default=0)
    return Finding(
        f"The loss of all {len(trained)} pretrainings stayed finite to the last step (at most {steps:,} steps)."
        if trained
        else "Nothing was pretrained.",
        None,
    )
