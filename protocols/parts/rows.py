"""Rows of stored features that are too many for memory: converted and used block by block."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

MOST_NUMBERS = 160_000_000
"""Features with at most as many numbers are used as a whole; the pixels of all of CIFAR's training images are 154 million."""
BLOCK_NUMBERS = 2**23
"""Numbers in a block of rows: 64 MiB in float64."""
GRAM_NUMBERS = 2**25
"""Numbers in a block of rows of which all pairs are multiplied: with small blocks, each row would be read too often."""


class Rows:
    """A matrix whose rows are made from stored features when they are needed.

    Args:
        features: The stored features, which may be mapped from a file.
        positions: The rows of ``features`` that this matrix has; None for all.
        device: Where the blocks are computed.
        convert: Stored rows on the device -> rows of this matrix.
        columns: Number of columns of this matrix; None for that of ``features``.
        check_stop: ``Task.check_stop``, called before every block.
    """

    def __init__(
        self,
        features: Float[Tensor, "stored dim"],
        positions: Int[Tensor, " n"] | None,
        device: torch.device,
        check_stop: Callable[[], None],
        convert: Callable[[Tensor], Tensor] = lambda rows: rows,
        columns: int | None = None,
    ) -> None:
        self.features, self.device, self.check_stop, self.convert = features, device, check_stop, convert
        self.positions = None if positions is None else positions.to(features.device)
        count = len(features) if positions is None else len(positions)
        self.shape = torch.Size((count, features.shape[1] if columns is None else columns))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: slice | Tensor) -> Tensor:
        """Return some rows."""
        at = chosen.to(self.features.device) if isinstance(chosen, Tensor) else chosen
        rows = self.features[at if self.positions is None else self.positions[at]]
        return self.convert(rows.to(self.device))

    def numel(self) -> int:
        """Return the number of numbers."""
        return self.shape.numel()

    def then(self, convert: Callable[[Tensor], Tensor], columns: int) -> "Rows":
        """Return a matrix whose rows are those of this one, converted further."""
        before = self.convert
        return Rows(
            self.features, self.positions, self.device, self.check_stop, lambda rows: convert(before(rows)), columns
        )

    def blocks(self, numbers: int = BLOCK_NUMBERS) -> Iterator[Tensor]:
        """Yield the rows in order, in blocks of about so many numbers."""
        count = max(1, numbers // max(self.shape[1], self.features.shape[1]))
        for start in range(0, len(self), count):
            self.check_stop()
            yield self[start : start + count]


def rows_of(
    features: Float[Tensor, "stored dim"],
    positions: Int[Tensor, " n"] | None,
    device: torch.device,
    check_stop: Callable[[], None],
) -> Tensor | Rows:
    """Return some rows of stored features, or all of them, on a device: as a tensor, or as ``Rows`` if they are more than ``MOST_NUMBERS``."""
    count = len(features) if positions is None else len(positions)
    if count * features.shape[1] > MOST_NUMBERS:
        return Rows(features, positions, device, check_stop)
    if positions is None:
        return features.to(device)
    return features[positions.to(features.device)].to(device)


def blocks_of(matrix: Tensor | Rows) -> Iterator[Tensor]:
    """Yield a matrix block by block: a tensor is one block."""
    return matrix.blocks() if isinstance(matrix, Rows) else iter((matrix,))


def whole(matrix: Tensor | Rows) -> Tensor:
    """Return a matrix as a tensor."""
    return torch.cat(list(blocks_of(matrix))) if isinstance(matrix, Rows) else matrix


def moments(rows: Rows) -> tuple[Float[Tensor, " columns"], Float[Tensor, " columns"]]:
    """Return the float64 mean and standard deviation of every column; they are not finite if a number is not."""
    mean = _sum_over(rows, lambda block: block) / len(rows)
    variance = _sum_over(rows, lambda block: (block - mean).square()) / len(rows)
    return mean, variance.sqrt()


def _sum_over(rows: Rows, change: Callable[[Tensor], Tensor]) -> Float[Tensor, " columns"]:
    total = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    for block in rows.blocks():
        total += change(block.double()).sum(dim=0)
    return total


def column_gram(rows: Rows) -> Float[Tensor, "columns columns"]:
    """Return the float64 inner products of all pairs of columns."""
    result = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=rows.device)
    for block in rows.blocks():
        result.addmm_(block.double().T, block.double())
    return result


def gram(rows: Rows, centre: Float[Tensor, " columns"]) -> Float[Tensor, "n n"]:
    """Return the float64 inner products of all pairs of rows, after ``centre`` was subtracted from each."""
    result = torch.empty(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    top = 0
    for upper in rows.blocks(GRAM_NUMBERS):
        upper = upper.double() - centre
        left = 0
        for lower in rows.blocks(GRAM_NUMBERS):
            if left > top:
                break
            block = upper @ (lower.double() - centre).T
            result[top : top + len(upper), left : left + len(lower)] = block
            result[left : left + len(lower), top : top + len(upper)] = block.T
            left += len(lower)
        top += len(upper)
    return result
