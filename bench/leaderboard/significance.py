"""Intervals and ties from kept bits: how sure a score is, and whether two scores differ by more than noise.

A method answers every test image i under every draw d of labels with every seed s, right (1) or wrong (0). Images and draws are
the same for all methods; seeds belong to one method. So an answer is

    y[m, s, d, i] = mean + image i + draw d + image × draw + (seed s, seed × image, seed × draw, rest of method m),

images and draws random and shared, all of the second kind independent between methods. A score is the mean over all answers.
The variance of a score, or of the difference of two (then y stands for the difference, averaged over seeds), is estimated as

    V = V_i + max(0, V_d - V_id) + sum over methods of max(0, V_s - V_si)

    V_i   variance of the I image means / I                      V_d   variance of the D draw means / D
    V_id  variance of image × draw residuals / (I D)             V_s   variance of the S seed means / S
    V_si  variance of seed × image residuals / (S I)

each with its own n - 1. V_i alone already holds, in expectation, every term that varies from image to image; V_d and V_s hold
part of them again, and V_id and V_si are just those parts, so that nothing is counted twice but seed × draw, which is too small to
be estimated from few seeds and is left in both: V errs towards calling scores tied. This is the analysis of several readers and
cases (Dorfman, Berbaum & Metz 1992; Hillis 2007) with a nested third factor. With one draw or one seed its term is missing; where
only one of two methods has several seeds, the other is taken to vary as much from seed to seed.

Degrees of freedom are Welch's and Satterthwaite's, on the unreduced terms: V² / (V_i²/(I-1) + V_d²/(D-1) + sum of V_s²/(S-1)).
V_i is taken with two made-up images more, one right and one wrong (half as often each for a difference, Agresti & Min 2005), so that
perfect scores and few images do not look certain.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.05
"""Differences with a smaller corrected p-value are real; intervals hold the truth with one minus this."""


@dataclass(frozen=True)
class Answers:
    """The right and wrong answers of one method under one protocol, averaged for the analysis.

    Attributes:
        by_draw: float64 draws × images: the mean over seeds.
        by_seed: float64 seeds × images: the mean over draws.
        label_sets: Hash of the label sets: draws of equal hash are paired.
    """

    by_draw: "NDArray[np.float64]"
    by_seed: "NDArray[np.float64]"
    label_sets: str | None = None

    @property
    def mean(self) -> float:
        """The score, in [0, 1]."""
        return float(self.by_draw.mean())

    @cached_property
    def seeds(self) -> "_Part | None":
        """The seeds' part of the variance of the score; None for one seed."""
        return _crossed(self.by_seed) if len(self.by_seed) > 1 else None

    def paired(self, other: "Answers") -> bool:
        """Whether both answered the same images under the same draws."""
        return self.by_draw.shape == other.by_draw.shape and self.label_sets == other.label_sets


@dataclass(frozen=True)
class Difference:
    """The difference of two scores.

    Attributes:
        value: First less second, in [-1, 1].
        error: Its standard error.
        freedom: Degrees of freedom of the error.
        p: Two-sided p-value of no difference.
    """

    value: float
    error: float
    freedom: float
    p: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        half = _quantile(1 - LEVEL / 2, self.freedom) * self.error
        return max(-1.0, self.value - half), min(1.0, self.value + half)


@dataclass(frozen=True)
class _Part:
    """One term of the variance, before and after what other terms hold already is taken away."""

    whole: float
    net: float
    freedom: int


@dataclass(frozen=True)
class _Variance:
    parts: list[_Part] = field(default_factory=list)

    @property
    def total(self) -> float:
        return math.fsum(part.net for part in self.parts)

    @property
    def freedom(self) -> float:
        """Welch's and Satterthwaite's degrees of freedom; the least of the parts where nothing varies."""
        uncertainty = math.fsum(part.whole**2 / part.freedom for part in self.parts)
        return self.total**2 / uncertainty if uncertainty > 0 else min(part.freedom for part in self.parts)


def unpack(seeds: Sequence[Sequence[str]], images: int, label_sets: str | None = None) -> Answers | None:
    """Return the answers behind kept bits, one list of base64 draws a seed; None where there are none or they do not fit together."""
    import numpy as np

    packed = [[base64.b64decode(draw) for draw in seed] for seed in seeds]
    draws = {len(seed) for seed in packed}
    if len(draws) != 1 or draws == {0} or {len(draw) for seed in packed for draw in seed} != {(images + 7) // 8}:
        return None
    together = np.frombuffer(b"".join(draw for seed in packed for draw in seed), np.uint8)
    bits = np.unpackbits(together.reshape(len(packed), draws.pop(), -1), axis=2, count=images)
    by_draw, by_seed = bits.sum(0, dtype=np.int32), bits.sum(1, dtype=np.int32)
    return Answers(by_draw / bits.shape[0], by_seed / bits.shape[1], label_sets)


def interval(answers: Answers) -> tuple[float, float]:
    """Return the 95 % interval of a score, in [0, 1], over images, draws and, from two seeds on, seeds.

    Wilson's interval with Student's quantile at the number of images that would give the same variance, as for samples
    with a design effect (Dean & Pagano 2015), so that it stays within [0, 1] and a perfect score is not certain.
    """
    score, images = answers.mean, answers.by_draw.shape[1]
    variance = _variance(answers.by_draw, [answers.seeds], made_up=(1.0, 1.0))
    middle = (score * images + 1) / (images + 2)
    alike = middle * (1 - middle) / variance.total
    t = _quantile(1 - LEVEL / 2, variance.freedom)
    centre = (score + t**2 / (2 * alike)) / (1 + t**2 / alike)
    half = t / (1 + t**2 / alike) * math.sqrt(score * (1 - score) / alike + t**2 / (4 * alike**2))
    return max(0.0, min(score, centre - half)), min(1.0, max(score, centre + half))


def difference(first: Answers, second: Answers) -> Difference:
    """Return the difference of two scores, paired by image and draw, with its error and p-value.

    Raises:
        ValueError: They answered other images or other draws.
    """
    if not first.paired(second):
        raise ValueError("answers to other images or draws cannot be paired")
    own = [first.seeds, second.seeds]
    counts = [len(answers.by_seed) for answers in (first, second)]
    if own[0] is None and own[1] is not None:
        own[0] = _scaled(own[1], counts[1] / counts[0])
    elif own[1] is None and own[0] is not None:
        own[1] = _scaled(own[0], counts[0] / counts[1])
    delta = first.by_draw - second.by_draw
    value = float(delta.mean())
    variance = _variance(delta, own, made_up=(1.0, 0.0))
    error = math.sqrt(variance.total)
    if delta.shape[1] < 2:
        return Difference(value, math.inf, 1.0, 1.0)
    return Difference(value, error, variance.freedom, 2 * _tail(abs(value) / error, variance.freedom))


def unpaired(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], images: tuple[int, int]
) -> Difference:
    """Return the difference of two scores of which no answers are kept (top-5), or that had other draws.

    The variance is the sum of both sides': the binomial one over images (with one right and one wrong image more), that of the draws'
    means and that of the seeds' means. Nothing is paired and parts of it are counted twice: it errs towards no difference.

    Args:
        first: Seeds × draws of scores in [0, 1].
        second: Of the other.
        images: How many either answered.
    """
    means, variances = [], []
    seeds: list[_Part | None] = []
    for table, count in zip((first, second), images, strict=True):
        of_seed = [math.fsum(draws) / len(draws) for draws in table]
        of_draw = [math.fsum(column) / len(column) for column in zip(*table, strict=True)]
        mean = math.fsum(of_seed) / len(of_seed)
        middle = (mean * count + 1) / (count + 2)
        means.append(mean)
        variances.append(_Part(middle * (1 - middle) / count, middle * (1 - middle) / count, max(count - 1, 1)))
        seeds.append(_of_means(of_seed))
        if (draws := _of_means(of_draw)) is not None:
            variances.append(draws)
    own, other = seeds
    if own is None and other is not None:
        own = _scaled(other, len(second) / len(first))
    elif other is None and own is not None:
        other = _scaled(own, len(first) / len(second))
    variance = _Variance([*variances, *(part for part in (own, other) if part is not None)])
    value, error = means[0] - means[1], math.sqrt(variance.total)
    return Difference(value, error, variance.freedom, 2 * _tail(abs(value) / error, variance.freedom))


def _of_means(means: Sequence[float]) -> _Part | None:
    """Return the part of the variance that independent means have; None for one."""
    if len(means) < 2:
        return None
    mean = math.fsum(means) / len(means)
    whole = math.fsum((m - mean) ** 2 for m in means) / (len(means) - 1) / len(means)
    return _Part(whole, whole, len(means) - 1)


def holm(p_values: Sequence[float], hypotheses: int | None = None) -> list[float]:
    """Return p-values corrected for testing several hypotheses at once (Holm 1979), in the order given.

    Args:
        p_values: Of the hypotheses that were tested.
        hypotheses: How many could have been tested; the number of p-values unless more.
    """
    family = max(len(p_values), hypotheses or 0)
    corrected, least = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, p_values[index] * (family - place)))
        corrected[index] = least
    return corrected


def tied_with_best(rows: Sequence[Answers]) -> list[bool]:
    """Return for each row whether its score does not differ from the best one at 5 %.

    The best is itself chosen by its score, so that any of the k (k - 1) / 2 pairs of rows could have been the one that is
    tested: Holm's correction counts them all. Correcting for the k - 1 tests alone would find a difference between equal
    methods too often.

    Raises:
        ValueError: Rows answered other images or draws.
    """
    if not rows:
        return []
    best = max(range(len(rows)), key=lambda i: rows[i].mean)
    others = [i for i in range(len(rows)) if i != best]
    p_values = [difference(rows[best], rows[i]).p for i in others]
    corrected = dict(zip(others, holm(p_values, len(rows) * len(others) // 2), strict=True))
    return [i == best or corrected[i] >= LEVEL for i in range(len(rows))]


def _variance(table: "NDArray[np.float64]", seeds: Sequence[_Part | None], made_up: tuple[float, float]) -> _Variance:
    """Return the variance of the mean of draws × images; ``made_up`` is the sum of squares and the sum of two more images."""
    draws, images = table.shape
    by_image = table.mean(0)
    squares, total = made_up
    spread = (float((by_image**2).sum()) + squares) / (images + 2) - (
        (float(by_image.sum()) + total) / (images + 2)
    ) ** 2
    parts = [_Part(spread / images, spread / images, max(images - 1, 1))]
    if draws > 1:
        parts.append(_crossed(table))
    return _Variance(parts + [part for part in seeds if part is not None])


def _crossed(table: "NDArray[np.float64]") -> _Part:
    """Return the part of the rows of a table (draws or seeds) × images, net of what images hold already."""
    rows, images = table.shape
    of_row, of_image, mean = table.mean(1), table.mean(0), float(table.mean())
    whole = float(of_row.var(ddof=1)) / rows
    if images < 2:
        return _Part(whole, whole, rows - 1)
    # The sum of squared residuals, by parts: the table itself, less its rows and its columns, which both hold the mean.
    squares = float((table * table).sum()) - images * float(of_row @ of_row) - rows * float(of_image @ of_image)
    rest = max(0.0, squares + rows * images * mean**2)
    shared = rest / ((rows - 1) * (images - 1)) / (rows * images)
    return _Part(whole, max(0.0, whole - shared), rows - 1)


def _scaled(part: _Part, factor: float) -> _Part:
    return _Part(part.whole * factor, part.net * factor, part.freedom)


def _special() -> Any:
    # scipy.stats takes a second to import; its special functions do not.
    import scipy.special

    return scipy.special


def _tail(t: float, freedom: float) -> float:
    return float(_special().stdtr(freedom, -t))


def _quantile(probability: float, freedom: float) -> float:
    return float(_special().stdtrit(freedom, probability))
