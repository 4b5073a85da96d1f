"""Simulated answers of methods of known accuracy, from a model fitted to recorded answers; for checking the marks of a table.

An answer of row m with seed s, draw d and image i is right if a latent normal value is above 0:

    a[m] + image[i] + own image[m, i] + seed[m, s] + seed × image[m, s, i] + draw[d] + draw × image[d, i] + own draw × image[m, d, i] + rest

All terms but a[m] are normal and independent. The variance of all terms but the seed's adds up to 1 and is the same for all rows; each row
has its own variance between seeds. The variances follow from how often two answers that share some of the terms are both right, by the
tetrachoric correlation: median over pairs of rows, or over rows. With one draw, the terms of draws are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from bench.leaderboard.significance import Answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
LEAST_REST = 0.02
"""Least share of the variance that no other term explains."""


@dataclass(frozen=True)
class Components:
    """Variances of the terms.

    Attributes:
        score: Median score of the rows, in [0, 1].
        seed: Variance between seeds of each row.
        image, own_image, seed_image, draw, draw_image, own_draw_image, rest: The other terms, which add up to 1.
    """

    score: float
    seed: tuple[float, ...]
    image: float
    own_image: float
    seed_image: float = 0.0
    draw: float = 0.0
    draw_image: float = 0.0
    own_draw_image: float = 0.0
    rest: float = 0.0


def fit(rows: Sequence[Answers]) -> Components:
    """Return the variances of a column from the recorded answers of its rows, all paired, each with several seeds."""
    scores = np.array([row.mean for row in rows])
    level = ndtri(np.clip(scores, 0.5 / rows[0].total, 1 - 0.5 / rows[0].total))
    between = np.array([len(row.by_seed) * row.seeds.net for row in rows if row.seeds])
    share = _correlation(level, level, scores**2 + between)
    seed = share / (1 - share)
    images, own, both = _by_image(rows, level, seed)
    if rows[0].by_draw.shape[0] == 1:
        own_image = max(own - images, 0.0)
        return Components(float(np.median(scores)), tuple(seed), images, own_image, rest=_rest(images, own_image))
    draw, together = _by_draw(rows, level, seed)
    draw = min(draw, max(together - images, 0.0))
    found = {
        "image": images,
        "own_image": max(own - images, 0.0),
        "seed_image": max(both[0] - own, 0.0),
        "draw": draw,
        "draw_image": max(together - images - draw, 0.0),
        "own_draw_image": max((both[1] - own) - (together - images), 0.0),
    }
    return Components(float(np.median(scores)), tuple(seed), **found, rest=_rest(*found.values()))


def _rest(*others: float) -> float:
    return max(1 - sum(others), LEAST_REST)


def _by_image(
    rows: Sequence[Answers], level: "NDArray[Any]", seed: "NDArray[Any]"
) -> tuple[float, float, tuple[float, float]]:
    """Return the covariance of two answers to one image, with other draws where there are several.

    Returns:
        That of different rows; of different seeds of a row; and of the same seed of a row, and of different seeds under the same draw.
    """
    draws = rows[0].by_draw.shape[0]
    pairs: list[float] = []
    inside: tuple[list[float], list[float], list[float]] = ([], [], [])
    first, second = np.triu_indices(len(rows), 1)
    for a, b in zip(first, second, strict=True):
        of_draw = rows[a].by_draw * rows[b].by_draw
        if draws == 1:
            pairs.append(of_draw.mean())
        else:
            all_draws = rows[a].by_draw.sum(0) * rows[b].by_draw.sum(0)
            pairs.append((all_draws - of_draw.sum(0)).mean() / (draws * (draws - 1)))
    scale = np.sqrt((1 + seed[first]) * (1 + seed[second]))
    images = float(np.median(_correlation(level[first], level[second], np.array(pairs)) * scale))
    for row in rows:
        seeds = len(row.by_seed)
        of_draw, of_seed = row.by_draw * seeds, row.by_seed * draws
        total = of_draw.sum(0)
        same_draw = (of_draw**2 - of_draw).sum(0)
        same_seed = (of_seed**2 - of_seed).sum(0)
        other = total**2 - (of_seed**2).sum(0) - (of_draw**2).sum(0) + total
        inside[1].append(same_draw.mean() / (draws * seeds * (seeds - 1)))
        if draws > 1:
            inside[0].append(other.mean() / (draws * (draws - 1) * seeds * (seeds - 1)))
            inside[2].append(same_seed.mean() / (seeds * draws * (draws - 1)))
    if draws == 1:
        own = float(np.median(_correlation(level, level, np.array(inside[1])) * (1 + seed)))
        return images, own, (0.0, 0.0)
    other_seed, same_draw, same_seed = (_correlation(level, level, np.array(both)) * (1 + seed) for both in inside)
    return (
        images,
        float(np.median(other_seed)),
        (float(np.median(same_seed - seed)), float(np.median(same_draw))),
    )


def _by_draw(rows: Sequence[Answers], level: "NDArray[Any]", seed: "NDArray[Any]") -> tuple[float, float]:
    """Return the covariance of answers of different rows under the same draw: to different images, and to the same image."""
    first, second = np.triu_indices(len(rows), 1)
    tables = np.stack([row.by_draw for row in rows])
    draws, images = tables.shape[1:]
    of_draw = tables.mean(2)
    same = np.einsum("adi,bdi->ab", tables, tables, optimize=True)[first, second] / (draws * images)
    main = np.cov(of_draw)[first, second]
    pooled, scale = level.mean(), np.sqrt((1 + seed[first]) * (1 + seed[second]))
    expected = float(ndtr(pooled)) ** 2 + max(float(main.mean()), 0.0)
    draw = float(_correlation(np.array([pooled]), np.array([pooled]), np.array([expected]))[0])
    return draw, float(np.median(_correlation(level[first], level[second], same) * scale))


def _correlation(a: "NDArray[Any]", b: "NDArray[Any]", both: "NDArray[Any]") -> "NDArray[Any]":
    """Return the correlation, in [0, 0.995], of two normal values that are below ``a`` and ``b`` together with probability ``both``."""
    low, high = np.zeros_like(both), np.full_like(both, 0.995)
    for _ in range(40):
        middle = (low + high) / 2
        root, rest = np.sqrt(middle)[:, None], np.sqrt(1 - middle)[:, None]
        found = (ndtr((a[:, None] + root * NODES) / rest) * ndtr((b[:, None] + root * NODES) / rest)) @ WEIGHTS
        low, high = np.where(found < both, middle, low), np.where(found < both, high, middle)
    return np.asarray((low + high) / 2)


def draw_world(
    found: Components, scores: Sequence[float], seeds: int, draws: int, images: int, generator: np.random.Generator
) -> list[Answers]:
    """Return the answers of rows with the expected scores ``scores`` in [0, 1], in the order of ``found.seed``."""

    def normal(variance: float, *shape: int) -> "NDArray[np.float32]":
        values = generator.standard_normal(shape, np.float32)
        values *= np.float32(np.sqrt(variance))
        return values

    shared = normal(found.image, 1, images)
    if draws > 1:
        shared = shared + normal(found.draw, draws, 1) + normal(found.draw_image, draws, images)
    rows = []
    for score, seed in zip(scores, found.seed, strict=True):
        value = shared + normal(found.own_image, 1, images) + np.float32(ndtri(score) * np.sqrt(1 + seed))
        if draws > 1:
            value = value + normal(found.own_draw_image, draws, images)
        value = value + (normal(seed, seeds, 1, 1) + normal(found.seed_image, seeds, 1, images))
        right = (normal(found.rest, seeds, draws, images) > -value).view(np.uint8)
        by_draw, by_seed = right.sum(0, dtype=np.uint16), right.sum(1, dtype=np.uint16)
        rows.append(
            Answers(by_draw / seeds, by_seed / draws, "simulated", int(by_seed.sum(dtype=np.int64)), right.size)
        )
    return rows
