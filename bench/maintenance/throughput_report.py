"""Tables and sentences about measured speeds."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

Engines = Mapping[str, Mapping[str, Any]]
"""Engine -> numbers of one measurement."""

VIEWS = "views: "
STEPS = "training step: "
END_TO_END = "end to end: "
EVALUATION = "evaluation: knn and linear"
LIGHTLY_LOOP = "lightly, "
LIGHTLY_CLASSIFIERS = ("KNNClassifier", "LinearClassifier", "LinearClassifier on stored features")
PER_SAMPLE = "image by image in a DataLoader on all cores"


def to_markdown(figures: Mapping[str, Any]) -> str:
    """Return a page with the summary and one table of images per second for each group."""
    packages = figures["packages"]
    lines = [
        f"# Throughput on {figures['device']}",
        "",
        f"{figures['processor']}; torch {packages.get('torch')}, lightly {packages.get('lightly')}; "
        f"measured {figures['measured']}, load before {figures['load_before']}. {figures['how'].capitalize()}.",
        "",
        summary(figures),
        "",
        "All tables show images per second.",
    ]
    for group, works in figures["groups"].items():
        engines = list(dict.fromkeys(engine for measured in works.values() for engine in measured))
        lines += ["", f"## {group}", "", f"| | {' | '.join(engines)} |", f"|---|{'---:|' * len(engines)}"]
        lines += [
            f"| {what} | {' | '.join(_rate(measured, engine) for engine in engines)} |"
            for what, measured in works.items()
        ]
    return "\n".join(lines) + "\n"


def summary(figures: Mapping[str, Any]) -> str:
    """Return the comparisons of all groups as a markdown list."""
    groups = figures["groups"]
    lines = [*_training(groups), *(line for group in _names(groups, VIEWS) for line in _views(group, groups[group]))]
    lines += [line for group in _names(groups, STEPS) for line in _steps(group, groups[group])]
    return _markdown_list([*lines, *_evaluation(groups)])


def three_figures(figures: Mapping[str, Any]) -> str:
    """Return the three comparisons for the README as a markdown list: the training loop, the views, the evaluation."""
    groups = figures["groups"]
    return _markdown_list([*_training(groups)[:1], *_views_range(groups), *_evaluation(groups)[:1]])


def _markdown_list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _names(groups: Mapping[str, Any], kind: str) -> list[str]:
    return [name for name in groups if name.startswith(kind)]


def _rate(measured: Engines, engine: str) -> str:
    if engine not in measured:
        return ""
    rate = measured[engine]["images_per_s"]
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _ratio(measured: Engines, engine: str, other: str) -> float | None:
    """Return how many times as fast an engine is as another, or None if one was not measured."""
    if engine not in measured or other not in measured:
        return None
    return float(measured[engine]["images_per_s"]) / float(measured[other]["images_per_s"])


def _training(groups: Mapping[str, Mapping[str, Engines]]) -> list[str]:
    return [
        line
        for group in _names(groups, END_TO_END)
        for measured in groups[group].values()
        for line in _end_to_end(group.removeprefix(END_TO_END), measured)
    ]


def _end_to_end(title: str, measured: Engines) -> Iterator[str]:
    parts = [
        f"{ratio:.2f} times as fast as lightly's loop in {other.removeprefix(LIGHTLY_LOOP)}"
        for other in measured
        if other.startswith(LIGHTLY_LOOP) and (ratio := _ratio(measured, "harness", other)) is not None
    ]
    share = _ratio(measured, "harness", "bare step")
    if share is not None:
        parts.append(f"{share:.0%} of the speed of a bare step")
    if parts:
        yield f"training, {title}: {measured['harness']['images_per_s']:,.0f} images/s; {', '.join(parts)}"


def _speedups(works: Mapping[str, Engines], other: str) -> dict[str, float]:
    """Return how many times as fast batched views are as another engine's, per pipeline."""
    return {
        what: ratio for what, measured in works.items() if (ratio := _ratio(measured, "batched", other)) is not None
    }


def _views(group: str, works: Mapping[str, Engines]) -> Iterator[str]:
    for other, name in (("per sample", PER_SAMPLE), ("kornia", "with Kornia")):
        ratios = _speedups(works, other)
        if ratios:
            slowest = min(ratios, key=ratios.__getitem__)
            yield (
                f"{group}: drawn in batches {statistics.median(ratios.values()):.1f} times as fast as {name} "
                f"(median of {len(ratios)} pipelines; lowest {ratios[slowest]:.1f}, {slowest})"
            )


def _views_range(groups: Mapping[str, Mapping[str, Engines]]) -> Iterator[str]:
    ratios = {group.removeprefix(VIEWS): _speedups(groups[group], "per sample") for group in _names(groups, VIEWS)}
    medians = {group: statistics.median(found.values()) for group, found in ratios.items() if found}
    if medians:
        low, high = (choose(medians, key=medians.__getitem__) for choose in (min, max))
        yield (
            f"views: drawn in batches {medians[low]:.1f} ({low}) to {medians[high]:.1f} ({high}) times as fast as "
            f"{PER_SAMPLE} (medians over pipelines)"
        )


def _steps(group: str, works: Mapping[str, Engines]) -> Iterator[str]:
    shares = {
        what: share
        for what, measured in works.items()
        if (share := _ratio(measured, "harness", "bare step")) is not None
    }
    if shares:
        lowest = sorted(shares, key=shares.__getitem__)[:5]
        yield (
            f"{group}: {statistics.median(shares.values()):.0%} of the speed of a bare step (median of {len(shares)} methods; "
            f"lowest: {', '.join(f'{name} {shares[name]:.0%}' for name in lowest)})"
        )


def _evaluation(groups: Mapping[str, Mapping[str, Engines]]) -> list[str]:
    names = ("sslbench", *(f"lightly {name}" for name in LIGHTLY_CLASSIFIERS))
    lines = []
    for measured in groups.get(EVALUATION, {}).values():
        if any(name not in measured for name in names):
            continue
        ours, knn, linear, stored = (measured[name] for name in names)
        seconds = knn["seconds"] + linear["seconds"] * linear["times"]
        theirs = knn["top1"] | stored["top1"]
        accuracies = ", ".join(f"{name} {ours['top1'][name]:.1f} and {theirs[name]:.1f}" for name in theirs)
        lines.append(
            f"{EVALUATION}: {ours['seconds']:,.0f} s, {seconds / ours['seconds']:,.0f} times as fast as lightly's KNNClassifier and "
            f"LinearClassifier ({seconds:,.0f} s, computed from one measured epoch of {linear['times']}); top-1 accuracy of sslbench and "
            f"lightly: {accuracies}"
        )
    return lines
