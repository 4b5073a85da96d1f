"""Multiple comparisons with the best: which rows of a column could be the best, how far each is below it, and between which ranks it is.

For each row i the hypothesis "i is the best" is tested against all other rows at once (Gupta 1965; Hsu 1981, 1984; with unequal
errors Edwards & Hsu 1983). Each pair has the Welch test of ``significance.py``: a difference paired by image and draw, its error and its
degrees of freedom. Because these degrees of freedom are few where seeds vary and many where they do not, t values are first turned into
normal scores z (Wallace 1959). Row i loses its mark if max over j of z[i, j] is above the 95 % quantile c[i] of this maximum in simulated
worlds in which all rows are equal. A world draws, in normal approximation and with the estimated variances,

    the error of the scores by images and draws, with their covariances between rows, and by the seeds of each row, and
    the estimates of the variances between seeds and between draws, with the few degrees of freedom that they have,

and computes z from them as from the records (a parametric bootstrap, as Krishnamoorthy, Lu & Mathew 2007 do for unequal variances). A
quantile is never below that of a single test, so that two rows are compared by Welch's one-sided test.

An equal method is meant to lose its mark in about 5 % of worlds. In simulated worlds of eight equal rows with 3, 5 and 10 seeds that was 2 to
7 % as long as no row's seeds spread by more than some seven points, and up to 15 % next to a row at ± 25 points near the ceiling: such
scores are skewed, so that seeds which happen to be good also happen to agree, and the error of their mean looks too small. Worlds fitted to
records, and several draws of labels, were not simulated. Nothing bounds the share
of worlds in which any of several equal rows is unmarked. The interval of the gap follows from the same quantiles: the lower end by the test
of the row itself, the upper end from the rows that could be the best.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.leaderboard.significance import LEVEL, Answers, interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORLDS = 1000
"""Number of simulated worlds per column: a quantile at 5 % has a standard error of 0.7 percentage points of the level."""
CHUNK = 50
"""Number of worlds that are simulated at once, so that their arrays fit into the processor's cache."""
SEED = 1965


@dataclass(frozen=True)
class Standing:
    """Where a row stands in a column.

    Attributes:
        could_be_best: Whether it could be the best (95 %).
        gap: The best score minus this one, in [0, 1].
        interval: The 95 % interval of the gap.
    """

    could_be_best: bool
    gap: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Comparisons:
    """All pairs of the rows of a column, and what their normal scores are in worlds of equal rows.

    Attributes:
        difference: float64 [k, k]: the score of column j minus that of row i.
        error: float64 [k, k]: its standard error.
        freedom: float64 [k, k]: degrees of freedom of the error.
        z: float64 [k, k]: normal score of the difference; 0 if a single image decides nothing.
        highest: float32 [worlds, k]: the maximum of z over the other rows, per row, in each simulated world.
        widest: float32 [worlds, k]: the same of the absolute values.
        room: float64 [k]: from the lower end of a score's own interval to the highest possible score.
    """

    difference: "NDArray[np.float64]" = field(repr=False)
    error: "NDArray[np.float64]" = field(repr=False)
    freedom: "NDArray[np.float64]" = field(repr=False)
    z: "NDArray[np.float64]" = field(repr=False)
    highest: "NDArray[np.float32]" = field(repr=False)
    widest: "NDArray[np.float32]" = field(repr=False)
    room: "NDArray[np.float64]" = field(repr=False)

    def standings(self) -> list[Standing]:
        """Return the standing of each row."""
        import numpy as np

        rows = len(self.z)
        critical = np.maximum(_quantile(self.highest), ONE_SIDED)
        half = _t(critical[:, None], self.freedom) * self.error
        best = self.z.max(1) <= critical
        gaps = np.maximum(self.difference.max(1), 0.0)
        low = np.maximum((self.difference - half).max(1, initial=0.0, where=~np.eye(rows, dtype=bool)), 0.0)
        # If j is the best, its lead over row i is at most their difference and the half-width of the test of j.
        high = (self.difference + half.T).max(1, initial=0.0, where=best[None, :] & ~np.eye(rows, dtype=bool))
        high = np.maximum(np.minimum(high, self.room), gaps)
        return [Standing(bool(best[i]), float(gaps[i]), (float(low[i]), float(high[i]))) for i in range(rows)]


def compare_all(rows: Sequence[Answers], purpose: str) -> Comparisons:
    """Compare all pairs of rows, and simulate their worlds of equal rows.

    Args:
        rows: The answers of each row, all paired, each with at least two seeds.
        purpose: Name of the column; the random numbers depend on it and on nothing else, nor on the order of rows.

    Raises:
        ValueError: The answers cannot be paired, or a row has a single seed.
    """
    import numpy as np

    if not all(r.paired(rows[0]) for r in rows):
        raise ValueError("answers to other images or draws cannot be paired")
    if any(r.seeds is None for r in rows):
        raise ValueError(
            "a row with a single seed cannot be compared: how much its score varies between seeds is unknown"
        )
    keys = [_key(r) for r in rows]
    order = sorted(range(len(rows)), key=lambda i: keys[i])
    place = {keys[i]: at for at, i in reversed(list(enumerate(order)))}
    model = _Model([rows[i] for i in order])
    generator = np.random.default_rng([SEED, *hashlib.blake2b(purpose.encode(), digest_size=8).digest()])
    highest, widest = model.simulate(generator)
    # Rows with the very same answers share the simulated maxima of the first of them.
    back = [place[key] for key in keys]
    pairs = np.ix_(back, back)
    difference, error, freedom, z = model.observed()
    room = np.array([1 - interval(r)[0] for r in rows])
    return Comparisons(
        difference[pairs], error[pairs], freedom[pairs], z[pairs], highest[:, back], widest[:, back], room
    )


def rank_quantile(columns: Sequence[tuple[Comparisons, int]]) -> float:
    """Return the critical value of |z| for one row in several columns at once, so that all its comparisons hold together (95 %).

    The columns are simulated independently of each other; scores of the same images and encoders go together, which makes the value a
    little too large.

    Args:
        columns: The comparisons of each column, and the place of the row in it.
    """
    import numpy as np

    widest = np.max([found.widest[:, row] for found, row in columns], axis=0)
    return max(float(_quantile(widest)), TWO_SIDED)


ONE_SIDED, TWO_SIDED = 1.6448536269514722, 1.959963984540054
"""Normal quantiles at 95 and 97.5 %, the smallest critical values: those of a single test."""


def _quantile(values: "NDArray[np.float32]") -> "NDArray[np.float64]":
    import numpy as np

    return np.asarray(np.quantile(values, 1 - LEVEL, axis=0), np.float64)


def _key(answers: Answers) -> tuple[int, int, bytes]:
    content = hashlib.blake2b(answers.by_draw.tobytes() + answers.by_seed.tobytes(), digest_size=16)
    return answers.right, answers.total, content.digest()


def _t(z: "NDArray[np.float64]", freedom: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return the t value of a normal score, the inverse of ``_scores``."""
    import numpy as np

    scale = (8 * freedom + 3) / (8 * freedom + 1)
    with np.errstate(over="ignore"):
        return np.sqrt(freedom * np.expm1((z * scale) ** 2 / freedom))


class _Model:
    """The terms of the variance of all pairs of rows (module docstring of ``significance.py``), and worlds of equal rows with them."""

    def __init__(self, rows: Sequence[Answers]) -> None:
        import numpy as np

        table = np.stack([r.by_draw for r in rows])
        count, self.draws, self.images = table.shape
        by_image, by_draw = table.mean(1), table.mean(2)
        self.score = by_draw.mean(1)
        self.right = np.array([r.right for r in rows], dtype=object)
        self.total = np.array([r.total for r in rows], dtype=object)
        # One right and one wrong image, half as often each for a difference, as in `difference`: half a one per row.
        added = self.images + 2
        total = by_image.sum(1)
        self.image = by_image @ by_image.T / added - np.outer(total, total) / added**2 + np.eye(count) / (2 * added)
        self.image /= self.images
        seeds = [r.seeds for r in rows if r.seeds is not None]
        self.seed_whole = np.array([part.whole for part in seeds])
        self.seed_net = np.array([part.net for part in seeds])
        self.seed_freedom = np.array([part.freedom for part in seeds])
        self.draw_whole = self.draw_shared = np.zeros((count, count))
        if self.draws > 1:
            self.draw_whole = np.atleast_2d(np.cov(by_draw)) / self.draws
        if self.draws > 1 and self.images > 1:
            flat = table.reshape(count, -1)
            rest = flat @ flat.T - self.images * by_draw @ by_draw.T - self.draws * by_image @ by_image.T
            rest += self.draws * self.images * np.outer(self.score, self.score)
            self.draw_shared = rest / ((self.draws - 1) * (self.images - 1)) / (self.draws * self.images)

    def observed(self) -> tuple["NDArray[Any]", "NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]:
        """Return difference, error, degrees of freedom and normal score of each pair: float64 [k, k] each."""
        import numpy as np

        # From whole numbers of right answers: equal shares differ by exactly 0.
        right = np.outer(self.total, self.right)
        difference = ((right - right.T) / np.outer(self.total, self.total)).astype(np.float64)
        if self.images < 2:
            nothing = np.zeros_like(difference)
            return difference, nothing + np.inf, nothing + 1, nothing
        whole = _of_pairs(self.draw_whole)
        variance, uncertainty = self._variance(1.0, self.seed_whole, whole)
        z = _normal_scores(difference, variance, uncertainty)
        return difference, np.sqrt(variance), variance**2 / uncertainty, z

    def _variance(
        self, image: "NDArray[Any] | float", seed: "NDArray[Any]", draw: "NDArray[Any]"
    ) -> tuple["NDArray[Any]", "NDArray[Any]"]:
        """Return V of each pair, and the sum of squared terms over their degrees of freedom, from estimates of the terms.

        Args:
            image: Factor of the image term, [worlds, 1, 1].
            seed: Variance of the seed means / S, [worlds, k].
            draw: Variance of the differences' draw means / D, [worlds, k, k].
        """
        import numpy as np

        kind = seed.dtype
        shared = (self.seed_whole - self.seed_net).astype(kind)
        net = np.maximum(seed - shared, 0)
        own = seed**2 / self.seed_freedom.astype(kind)
        # A row and itself differ by nothing: any variance but 0 will do.
        of_image = (_of_pairs(self.image) + np.eye(len(self.image))).astype(kind) * image
        variance = of_image + (net[..., :, None] + net[..., None, :])
        uncertainty = of_image**2 / (self.images - 1) + (own[..., :, None] + own[..., None, :])
        if self.draws > 1:
            variance = variance + np.maximum(draw - _of_pairs(self.draw_shared).astype(kind), 0)
            uncertainty = uncertainty + draw**2 / (self.draws - 1)
        return variance, uncertainty

    def simulate(self, generator: "np.random.Generator") -> tuple["NDArray[np.float32]", "NDArray[np.float32]"]:
        """Return the maxima of z and of its absolute value over the other rows: float32 [worlds, k] each."""
        import numpy as np

        count = len(self.score)
        highest, widest = np.zeros((WORLDS, count), np.float32), np.zeros((WORLDS, count), np.float32)
        if count < 2 or self.images < 2:
            return highest, widest
        roots = [_root(self.image), np.diag(np.sqrt(self.seed_net)), _root(self.draw_whole - self.draw_shared)]
        scores = sum(
            generator.standard_normal((WORLDS, count), np.float32) @ root.astype(np.float32)
            for root in roots[: 3 if self.draws > 1 else 2]
        )
        seeds = (self.seed_whole * generator.chisquare(self.seed_freedom, (WORLDS, count)) / self.seed_freedom).astype(
            np.float32
        )
        images = (generator.chisquare(self.images - 1, (WORLDS, 1, 1)) / (self.images - 1)).astype(np.float32)
        draws = generator.standard_normal((WORLDS, self.draws, count), np.float32)
        draws = draws @ _root(self.draw_whole).astype(np.float32)
        draws -= draws.mean(1, keepdims=True)
        for start in range(0, WORLDS, CHUNK):
            part = slice(start, start + CHUNK)
            spread = draws[part]
            whole = _of_pairs(spread.transpose(0, 2, 1) @ spread / max(self.draws - 1, 1))
            variance, uncertainty = self._variance(images[part], seeds[part], whole)
            x = scores[part]
            z = _normal_scores(x[:, None, :] - x[:, :, None], variance, uncertainty)
            # z of a row against itself is 0, which is below every critical value, so it changes no quantile above 0.
            highest[part] = z.max(2)
            widest[part] = np.maximum(highest[part], -z.min(2))
        return highest, widest


def _of_pairs(covariance: "NDArray[Any]") -> "NDArray[Any]":
    """Return the variance of the difference of each pair, [..., k, k], from covariances, never negative."""
    import numpy as np

    own = np.diagonal(covariance, axis1=-2, axis2=-1)
    variance: NDArray[Any] = np.maximum(own[..., :, None] + own[..., None, :] - 2 * covariance, 0)
    return variance


def _root(covariance: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return the symmetric square root of a covariance; negative eigenvalues, which estimates can have, count as 0."""
    import numpy as np

    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def _normal_scores(difference: "NDArray[Any]", variance: "NDArray[Any]", uncertainty: "NDArray[Any]") -> "NDArray[Any]":
    """Return the normal score of each Welch t, by Wallace's approximation; ``uncertainty`` is V² over the degrees of freedom."""
    import numpy as np

    ratio = uncertainty / variance**2  # 1 / degrees of freedom
    scale = (8 + ratio) / (8 + 3 * ratio)
    size = scale * np.sqrt(np.log1p(difference**2 / variance * ratio) / ratio)
    scores: NDArray[Any] = np.copysign(size, difference)
    return scores
