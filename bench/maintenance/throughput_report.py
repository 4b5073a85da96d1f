"""Tables and the few sentences that measured speeds are worth."""

import statistics
from collections.abc import Mapping
from typing import Any

Engines = Mapping[str, Mapping[str, Any]]

VIEWS = "views: "
STEPS = "training step: "
END_TO_END = "end to end: "
EVALUATION = "evaluation: knn and linear"
LIGHTLY = ("KNNClassifier", "LinearClassifier", "LinearClassifier on stored features")


def to_markdown(figures: Mapping[str, Any]) -> str:
    """Return a page with a table for each group: images a second, and each engine over the first one's."""
    packages = figures["packages"]
    lines = [
        f"# Throughput on {figures['device']}",
        "",
        f"{figures['processor']}; torch {packages.get('torch')}, lightly {packages.get('lightly')}; "
        f"measured {figures['measured']}, load before {figures['load_before']}. {figures['how'].capitalize()}.",
        "",
        worth_saying(figures),
    ]
    for group, works in figures["groups"].items():
        engines = sorted({engine for found in works.values() for engine in found}, key=_order(works))
        lines += ["", f"## {group}", "", f"| | {' | '.join(engines)} |", f"|---|{'---:|' * len(engines)}"]
        lines += [
            f"| {what} | {' | '.join(_cell(found, engine) for engine in engines)} |" for what, found in works.items()
        ]
    return "\n".join(lines) + "\n"


def worth_saying(figures: Mapping[str, Any]) -> str:
    """Return the ratios that matter, a line each."""
    groups = figures["groups"]
    lines = [line for name, works in groups.items() if name.startswith(END_TO_END) for line in _end_to_end(name, works)]
    lines += [line for name, works in groups.items() if name.startswith(VIEWS) for line in _views(name, works)]
    lines += [line for name, works in groups.items() if name.startswith(STEPS) for line in _steps(name, works)]
    if EVALUATION in groups:
        lines += [line for works in groups[EVALUATION].values() for line in _evaluation(works)]
    return "\n".join(f"- {line}" for line in lines)


def _order(works: Mapping[str, Engines]) -> Any:
    """Return a key that keeps the engines in the order in which they were measured."""
    seen = list(dict.fromkeys(engine for found in works.values() for engine in found))
    return seen.index


def _cell(found: Engines, engine: str) -> str:
    if engine not in found:
        return ""
    rate = found[engine]["images_per_s"]
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _ratio(found: Engines, over: str, under: str) -> float | None:
    if over not in found or under not in found:
        return None
    return float(found[over]["images_per_s"]) / float(found[under]["images_per_s"])


def _end_to_end(group: str, works: Mapping[str, Engines]) -> list[str]:
    lines = []
    for found in works.values():
        said = [
            f"{ratio:.2f} times {other}"
            for other in found
            if other.startswith("lightly") and (ratio := _ratio(found, "harness", other)) is not None
        ]
        share = _ratio(found, "harness", "bare step")
        if share is not None:
            said.append(f"{share:.0%} of a bare step")
        if said:
            rate = found["harness"]["images_per_s"]
            lines.append(f"{group.removeprefix(END_TO_END)}: {rate:,.0f} images/s, {', '.join(said)}")
    return lines


def _views(group: str, works: Mapping[str, Engines]) -> list[str]:
    lines = []
    for other, name in (("per sample", "views one by one in a DataLoader on all cores"), ("kornia", "Kornia")):
        ratios = {
            what: ratio for what, found in works.items() if (ratio := _ratio(found, "batched", other)) is not None
        }
        if ratios:
            lines.append(f"{group}: batched {_spread(ratios)} {name}")
    return lines


def _spread(ratios: Mapping[str, float]) -> str:
    least = min(ratios, key=ratios.__getitem__)
    return (
        f"{statistics.median(ratios.values()):.1f} times (least {ratios[least]:.1f}, {least}; {len(ratios)} pipelines)"
    )


def _steps(group: str, works: Mapping[str, Engines]) -> list[str]:
    shares = {
        what: share for what, found in works.items() if (share := _ratio(found, "harness", "bare step")) is not None
    }
    if not shares:
        return []
    low = sorted(shares, key=shares.__getitem__)[:5]
    named = ", ".join(f"{name} {shares[name]:.0%}" for name in low)
    return [
        f"{group}: the harness runs at {statistics.median(shares.values()):.0%} of a bare step in the median of "
        f"{len(shares)} methods (least: {named})"
    ]


def _evaluation(found: Engines) -> list[str]:
    names = ("sslbench", *(f"lightly {name}" for name in LIGHTLY))
    if any(name not in found for name in names):
        return []
    ours, knn, linear, stored = (found[name] for name in names)
    seconds = knn["seconds"] + linear["seconds"] * linear["times"]
    theirs = knn["top1"] | stored["top1"]
    accuracies = "; ".join(f"{name} {ours['top1'][name]:.1f} against {theirs[name]:.1f}" for name in theirs)
    return [
        f"{EVALUATION}: {ours['seconds']:,.0f} s, {seconds / ours['seconds']:,.0f} times as fast as lightly's two classifiers "
        f"({seconds:,.0f} s: {linear['times']} times the one epoch that was measured, and kNN); {accuracies}"
    ]
