"""k-means from several starts at once, in batches on the device."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from protocols.parts.rows import Rows

PAIRS_AT_ONCE = 2**22
"""Pairs of a row and a centre whose distances are computed at once."""
NUMBERS_AT_ONCE = 2**24
"""Numbers of the rows that are used at once."""
CHECK = 10
"""Iterations from one check of convergence to the next: each check waits for the device."""
SAME = 1e-6
"""Squared distances up to this are rounding: such rows are equal to their centre."""


@dataclass(frozen=True)
class Clustering:
    """The best of several starts.

    Attributes:
        clusters: int64 cluster of each row, from 0.
        inertias: Sum of the squared distances of the rows from their centres, of every start; the best has the lowest.
        iterations: Iterations of all starts.
        converged: Whether the last iteration moved no row of any start to another cluster.
    """

    clusters: Int[Tensor, " n"]
    inertias: list[float]
    iterations: int
    converged: bool


class KMeans:
    """Lloyd's iterations from several starts at once.

    Every start draws its centres by greedy k-means++ (Arthur & Vassilvitskii 2007), as scikit-learn. A cluster without rows gets the row
    that is farthest from its centre as a new centre, unless all rows are equal to their centres: with fewer different rows than clusters,
    some clusters stay empty.

    Args:
        rows: float32 rows; as ``Rows``, they are read once per iteration.
        count: Number of clusters.
        starts: Number of starts.
        generator: Draws the centres; on the device of the rows.
        check_stop: Called before every block of rows; may raise to give up.
    """

    def __init__(
        self,
        rows: Tensor | Rows,
        count: int,
        starts: int,
        generator: torch.Generator,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.rows, self.count, self.starts = rows, count, starts
        self.generator, self.check_stop = generator, check_stop
        most = min(PAIRS_AT_ONCE // (count * starts), NUMBERS_AT_ONCE // rows.shape[1])
        self.rows_at_once = max(1, most)

    def fit(self, most: int) -> Clustering:
        """Return the start with the lowest inertia after at most ``most`` iterations."""
        centres = self._first_centres()
        clusters: Tensor | None = None
        converged = False
        for number in range(1, most + 1):
            before = clusters
            clusters, distances, sums, sizes = self._assigned(centres)
            means = torch.where(sizes[:, :, None] > 0, sums / sizes.clamp_min(1)[:, :, None], centres)
            if number % CHECK == 0 or number == most:
                empty = sizes == 0
                refill = empty & (distances.amax(dim=1, keepdim=True) > SAME)
                if bool(refill.any()):
                    means = torch.where(refill[:, :, None], self._farthest(distances, empty), means)
                elif before is not None and torch.equal(clusters, before):
                    converged = True
                    break
            centres = means
        assert clusters is not None
        inertias = cast(list[float], distances.double().sum(dim=1).tolist())
        best = min(range(self.starts), key=inertias.__getitem__)
        return Clustering(clusters[best], inertias, number, converged)

    def _first_centres(self) -> Float[Tensor, "starts count dim"]:
        """Draw centres one after the other.

        Candidates are rows, drawn with a probability proportional to their squared distance from the nearest earlier centre; the one that
        leaves the smallest sum of these distances becomes the centre. The first centre is any row.
        """
        size, device, starts = len(self.rows), self.rows.device, torch.arange(self.starts, device=self.rows.device)
        trials = 2 + int(math.log(self.count))
        shape = (self.count, self.starts, trials)
        uniforms = torch.rand(shape, generator=self.generator, device=device, dtype=torch.float64)
        nearest = torch.ones(self.starts, size, device=device)
        centres: list[Tensor] = []
        for draw in uniforms:
            below = nearest.double().cumsum(dim=1)
            drawn = torch.searchsorted(below, draw * below[:, -1:], right=True).clamp_max(size - 1)
            # All candidates for the first centre are the same row.
            drawn = drawn if centres else drawn[:, :1].expand(-1, trials)
            candidates = self.rows[drawn.flatten()]
            squares = torch.cat([_squared_distances(block, candidates) for block in self._blocks()])
            squares = squares.T.reshape(self.starts, trials, -1)
            left = torch.minimum(nearest[:, None], squares) if centres else squares
            best = left.double().sum(dim=2).argmin(dim=1)
            nearest = left[starts, best]
            centres.append(candidates.reshape(self.starts, trials, -1)[starts, best])
        return torch.stack(centres, dim=1)

    def _assigned(
        self, centres: Float[Tensor, "starts count dim"]
    ) -> tuple[
        Int[Tensor, "starts n"],
        Float[Tensor, "starts n"],
        Float[Tensor, "starts count dim"],
        Float[Tensor, "starts count"],
    ]:
        """Return the nearest centre of each row, the squared distance from it, and the sum and number of the rows of each centre."""
        clusters, distances = [], []
        flat = centres.flatten(0, 1)
        sums, sizes = torch.zeros_like(flat), flat.new_zeros(len(flat))
        for block in self._blocks():
            squares = _squared_distances(block, flat).reshape(-1, self.starts, self.count)
            smallest, nearest = squares.min(dim=2)
            # A product of matrices adds in the same order every time; adding at indices does not on a GPU.
            member = torch.zeros_like(squares).scatter_(2, nearest[:, :, None], 1.0).flatten(1)
            sums += member.T @ block
            sizes += member.sum(dim=0)
            clusters.append(nearest.T)
            distances.append(smallest.T)
        shape = (self.starts, self.count)
        return torch.cat(clusters, dim=1), torch.cat(distances, dim=1), sums.reshape(*shape, -1), sizes.view(shape)

    def _farthest(self, distances: Float[Tensor, "starts n"], empty: Tensor) -> Float[Tensor, "starts count dim"]:
        """Return a new centre for each empty cluster: the first gets the farthest row, the second the next one, and so on."""
        most = min(self.count, len(self.rows))
        farthest = distances.topk(most, dim=1).indices
        place = (empty.long().cumsum(dim=1) - 1).clamp(0, most - 1)
        return self.rows[farthest.gather(1, place).flatten()].reshape(*empty.shape, -1)

    def _blocks(self) -> Iterator[Tensor]:
        for start in range(0, len(self.rows), self.rows_at_once):
            self.check_stop()
            yield self.rows[start : start + self.rows_at_once]


def _squared_distances(rows: Float[Tensor, "n dim"], centres: Float[Tensor, "m dim"]) -> Float[Tensor, "n m"]:
    products = torch.addmm(centres.square().sum(dim=1), rows, centres.T, alpha=-2)
    return products.add_(rows.square().sum(dim=1, keepdim=True)).clamp_min_(0)
