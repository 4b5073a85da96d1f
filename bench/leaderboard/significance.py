"""Confidence intervals and tests from stored answers: how certain a score is, and whether two scores differ by more than noise.

A method answers every test image i under every draw d of labels with every seed s, correctly (1) or not (0). Images and draws are
the same for all methods; each method has its own seeds. An answer is modelled as

    y[m, s, d, i] = mean + image i + draw d + image × draw + (seed s, seed × image, seed × draw, rest of method m).

Images and draws are random and shared by all methods; the terms in brackets are independent between methods. A score is the mean
over all answers. The variance of a score, or of the difference of two (y is then the difference, averaged over seeds), is
estimated as

    V = V_i + max(0, V_d - V_id) + sum over methods of max(0, V_s - V_si)

    V_i   variance of the I image means / I                      V_d   variance of the D draw means / D
    V_id  variance of image × draw residuals / (I D)             V_s   variance of the S seed means / S
    V_si  variance of seed × image residuals / (S I)

each with its own n - 1. In expectation, V_i already contains every term that varies between images; V_d and V_s contain part of
them again, and V_id and V_si are exactly these parts, so that only seed × draw is counted twice. It is too small to be estimated
from few seeds and is left in both: V errs towards no difference. This is the analysis of several readers and cases
(Dorfman, Berbaum & Metz 1992; Hillis 2007) with a nested third factor. With one draw or one seed its term is missing; if only one
of two methods has several seeds, the other is assumed to vary as much between seeds. A method that is deterministic by construction
has V_s = 0, with any number of seeds.

Degrees of freedom are Welch's and Satterthwaite's, on the unreduced terms: V² / (V_i²/(I-1) + V_d²/(D-1) + sum of V_s²/(S-1)).
V_i is estimated with two added images, one right and one wrong (half as often each for a difference, Agresti & Min 2005), so that
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
"""Significance level: differences with a smaller corrected p-value are real; intervals cover 1 - LEVEL."""


@dataclass(frozen=True)
class Answers:
    """Which test images one method got right under one protocol, averaged for the analysis.

    Attributes:
        by_draw: float64 [draws, images]: mean over seeds.
        by_seed: float64 [seeds, images]: mean over draws.
        label_sets: Hash of the label sets; draws with the same hash are paired.
        right: Number of right answers, over all seeds, draws and images.
        total: Number of answers.
        deterministic: Whether every seed gives the same answers by construction.
    """

    by_draw: "NDArray[np.float64]"
    by_seed: "NDArray[np.float64]"
    label_sets: str | None
    right: int
    total: int
    deterministic: bool = False

    @property
    def mean(self) -> float:
        """The score, in [0, 1]."""
        return float(self.by_draw.mean())

    @cached_property
    def seeds(self) -> "_Part | None":
        """The contribution of the seeds to the variance of the score; None if it is unknown, from one seed."""
        if self.deterministic:
            return _Part(0.0, 0.0, 1)
        return _crossed(self.by_seed) if len(self.by_seed) > 1 else None

    def paired(self, other: "Answers") -> bool:
        """Whether both answered the same images under the same draws."""
        return self.by_draw.shape == other.by_draw.shape and self.label_sets == other.label_sets


@dataclass(frozen=True)
class Difference:
    """The difference of two scores.

    Attributes:
        value: First minus second, in [-1, 1].
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
    """One term of the variance.

    Attributes:
        whole: The term itself.
        net: The term without what other terms already contain.
        freedom: Its degrees of freedom.
    """

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
        """Welch's and Satterthwaite's degrees of freedom; the smallest of the parts if nothing varies."""
        uncertainty = math.fsum(part.whole**2 / part.freedom for part in self.parts)
        return self.total**2 / uncertainty if uncertainty > 0 else min(part.freedom for part in self.parts)


def unpack(seeds: Sequence[Sequence[str]], images: int, label_sets: str | None = None) -> Answers | None:
    """Return the answers in stored bits, one list of base64 draws per seed; None if there are none or their sizes differ."""
    import numpy as np

    packed = [[base64.b64decode(draw) for draw in seed] for seed in seeds]
    draws = {len(seed) for seed in packed}
    if (
        images < 1
        or len(draws) != 1
        or draws == {0}
        or {len(draw) for seed in packed for draw in seed} != {(images + 7) // 8}
    ):
        return None
    joined = np.frombuffer(b"".join(draw for seed in packed for draw in seed), np.uint8)
    bits = np.unpackbits(joined.reshape(len(packed), draws.pop(), -1), axis=2, count=images)
    by_draw, by_seed = bits.sum(0, dtype=np.int32), bits.sum(1, dtype=np.int32)
    return Answers(
        by_draw / bits.shape[0], by_seed / bits.shape[1], label_sets, int(bits.sum(dtype=np.int64)), bits.size
    )


def interval(answers: Answers) -> tuple[float, float]:
    """Return the 95 % interval of a score, in [0, 1], over images, draws and (with two or more seeds) seeds.

    Wilson's interval with Student's quantile at the number of images that would give the same variance, as for samples
    with a design effect (Dean & Pagano 2015), so that it stays within [0, 1] and a perfect score is not certain.
    """
    score, images = answers.mean, answers.by_draw.shape[1]
    variance = _variance(answers.by_draw, [answers.seeds], added=(1.0, 1.0))
    middle = (score * images + 1) / (images + 2)
    effective_images = middle * (1 - middle) / variance.total
    t = _quantile(1 - LEVEL / 2, variance.freedom)
    centre = (score + t**2 / (2 * effective_images)) / (1 + t**2 / effective_images)
    spread = score * (1 - score) / effective_images + t**2 / (4 * effective_images**2)
    half = t / (1 + t**2 / effective_images) * math.sqrt(spread)
    return max(0.0, min(score, centre - half)), min(1.0, max(score, centre + half))


def difference(first: Answers, second: Answers) -> Difference:
    """Return the difference of two scores, paired by image and draw, with its error and p-value.

    Raises:
        ValueError: Their images or draws differ.
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
    variance = _variance(delta, own, added=(1.0, 0.0))
    error = math.sqrt(variance.total)
    if delta.shape[1] < 2:
        return Difference(value, math.inf, 1.0, 1.0)
    return Difference(value, error, variance.freedom, 2 * _tail(abs(value) / error, variance.freedom))


def unpaired(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], images: tuple[int, int]
) -> Difference:
    """Return the difference of two scores without stored answers (top-5), or with different draws.

    The variance is the sum over both sides of the binomial variance over images (with one right and one wrong image added), the
    variance of the draws' means and the variance of the seeds' means. Nothing is paired and some parts are counted twice, so it errs
    towards no difference.

    Args:
        first: Scores in [0, 1], [seeds, draws].
        second: The other scores, in the same form.
        images: Number of test images of each.
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
    """Return the variance of the mean of independent means; None for a single one."""
    if len(means) < 2:
        return None
    mean = math.fsum(means) / len(means)
    whole = math.fsum((m - mean) ** 2 for m in means) / (len(means) - 1) / len(means)
    return _Part(whole, whole, len(means) - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for testing several hypotheses at once (Holm 1979), in the order given."""
    corrected, least = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = least
    return corrected


def _variance(table: "NDArray[np.float64]", seeds: Sequence[_Part | None], added: tuple[float, float]) -> _Variance:
    """Return the variance of the mean of [draws, images]; ``added`` is the sum of squares and the sum of the two added images."""
    draws, images = table.shape
    by_image = table.mean(0)
    squares, total = added
    spread = (float((by_image**2).sum()) + squares) / (images + 2) - (
        (float(by_image.sum()) + total) / (images + 2)
    ) ** 2
    parts = [_Part(spread / images, spread / images, max(images - 1, 1))]
    if draws > 1:
        parts.append(_crossed(table))
    return _Variance(parts + [part for part in seeds if part is not None])


def _crossed(table: "NDArray[np.float64]") -> _Part:
    """Return the variance of the row means of [draws or seeds, images], net of what the images already contain."""
    rows, images = table.shape
    of_row, of_image, mean = table.mean(1), table.mean(0), float(table.mean())
    whole = float(of_row.var(ddof=1)) / rows
    if images < 2:
        return _Part(whole, whole, rows - 1)
    # Sum of squared residuals: that of the table, minus those of its rows and columns, both of which contain the mean.
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
