"""Do the parts of a record agree? Scores must follow from the answers that are kept, so an edited score is found."""

import base64
import math

from bench.records.record import Measurement, Record
from protocols.transfer import parse_transfer

_TOLERANCE = 1e-9
_SHARES = ("top1", "top5", "mean_class")
_FROM_0_TO_1 = (*_SHARES, "nmi", "ece")
_OF_ANSWERS = (*_SHARES, "nll")
"""Metrics that are only measured by comparing answers, draw by draw."""


def disagreement(record: Record) -> str | None:
    """Return in one line what in a record contradicts something else in it, or None."""
    for name, curve in (("curve", record.curve), ("watched", record.watched)):
        if len({len(points) for points in curve.values()}) > 1:
            return f"{name} has lists of different lengths"
    for name, measurement in record.protocols.items():
        if (reason := disagreement_within(measurement)) is not None:
            return f"protocols.{name}.{reason}"
        if (reason := _transfer(name, measurement, record.identity.fingerprint)) is not None:
            return f"protocols.{name}.{reason}"
        other = record.protocols.get(measurement.same_as or "")
        if other is not None and other.same_as is not None:
            return f"protocols.{name}.same_as refers to a protocol that is not measured itself"
    return None


def _transfer(name: str, measurement: Measurement, fingerprint: str) -> str | None:
    """Compare the data set that was measured on with the protocol's id and the data set of the run."""
    named, found = parse_transfer(name), measurement.transfer
    if named is None and found is None:
        return None
    if named is None or found is None or found.dataset != named[0]:
        return "transfer does not name the data set of the protocol's id"
    if found.fingerprint == fingerprint:
        return "transfer has the fingerprint of the run's own data set"
    if measurement.images not in (0, found.data.test):
        return f"transfer has {found.data.test} test images, but {measurement.images} were measured"
    return None


def disagreement_within(measurement: Measurement) -> str | None:
    """Return in one line what in a measurement contradicts something else in it, or None."""
    for metrics in (measurement.metrics, *measurement.draws, *measurement.variants.values()):
        for name in _FROM_0_TO_1:
            if name in metrics and not 0 <= metrics[name] <= 1:
                return f"metrics has {name} {metrics[name]:g}, outside of 0 to 1"
    if measurement.same_as is not None and (measurement.metrics or measurement.draws or measurement.correct):
        return "same_as is set, but there are scores"
    return _answers(measurement) or _means(measurement)


def _answers(measurement: Measurement) -> str | None:
    """Compare the top-1 of each draw with its answers: one bit per image."""
    needed = (measurement.images + 7) // 8
    unused = 8 * needed - measurement.images
    if len(measurement.correct) > len(measurement.draws):
        return f"correct has {len(measurement.correct)} entries for {len(measurement.draws)} draws"
    for name in _OF_ANSWERS:
        if name in measurement.metrics and not measurement.draws:
            return f"metrics has {name}, but there are no draws"
    if len(measurement.correct) < len(measurement.draws):
        return "correct is missing"
    for draw, text in zip(measurement.draws, measurement.correct, strict=True):
        try:
            answers = base64.b64decode(text, validate=True)
        except ValueError:
            return "correct is not base64"
        if len(answers) != needed:
            return f"correct has {len(answers)} bytes, {measurement.images} images need {needed}"
        bits = int.from_bytes(answers, "big")
        if bits & ((1 << unused) - 1):
            return f"correct has more answers than {measurement.images} images"
        if not measurement.images:
            return "correct has no images"
        share = bits.bit_count() / measurement.images
        if not abs(draw.get("top1", math.nan) - share) <= _TOLERANCE:
            stated = f"top1 {draw['top1']:g}" if "top1" in draw else "no top1"
            return f"draws has {stated}, but {bits.bit_count()} of {measurement.images} answers are right"
    return None


def _means(measurement: Measurement) -> str | None:
    """Compare the metrics with the means over the draws."""
    draws = measurement.draws
    if not draws:
        return None
    for draw in draws:
        if draw.keys() != draws[0].keys():
            return "draws have different metrics"
    for name in _OF_ANSWERS:
        if name in measurement.metrics and name not in draws[0]:
            return f"metrics has {name}, which the draws have not"
    for name in draws[0]:
        mean = sum(draw[name] for draw in draws) / len(draws)
        stated = measurement.metrics.get(name)
        if stated is None:
            return f"metrics has no {name}, which the draws have"
        same = (
            math.isnan(stated) if math.isnan(mean) else math.isclose(stated, mean, rel_tol=0, abs_tol=_tolerance(mean))
        )
        if not same:
            return f"metrics has {name} {stated:g}, but the mean over the draws is {mean:g}"
    return None


def _tolerance(mean: float) -> float:
    return _TOLERANCE * max(1.0, abs(mean)) if math.isfinite(mean) else 0.0
