"""The span of features that have more dimensions than images, in which the solution of a penalised problem lies."""

import torch
from jaxtyping import Float
from torch import Tensor

from protocols.parts.labelled import BLOCK
from protocols.parts.rows import Rows, gram

SMALLEST_EIGENVALUE = 1e-12
"""Relative to the largest eigenvalue of the Gram matrix; smaller ones count as zero."""


class Span:
    """The span of the centred features, for more dimensions than images: it contains the solution, because only the penalty acts outside it.

    Its orthonormal basis comes from the eigenvectors of the n × n Gram matrix, so that no second n × dim matrix is needed.

    Attributes:
        inputs: The features in coordinates of the span.
    """

    def __init__(self, features: Tensor | Rows, centre: Float[Tensor, " dim"]) -> None:
        self.features, self.centre = features, centre
        squares, vectors = torch.linalg.eigh(
            gram(features, centre) if isinstance(features, Rows) else _centred_gram(features, centre)
        )
        kept = squares > squares[-1] * SMALLEST_EIGENVALUE
        self.vectors, self.singular = vectors[:, kept], squares[kept].sqrt()
        self.inputs = self.vectors * self.singular

    def to_features(self, inner: Float[Tensor, "inner classes"]) -> Float[Tensor, "dim classes"]:
        """Convert from coordinates of the span to all feature dimensions."""
        mixed = self.vectors @ (inner / self.singular[:, None])
        if isinstance(self.features, Rows):
            product = mixed.new_zeros(self.features.shape[1], mixed.shape[1])
            start = 0
            for block in self.features.blocks():
                product.addmm_(block.double().T, mixed[start : start + len(block)])
                start += len(block)
        else:
            product = self.features.T @ mixed
        outer: Tensor = product - torch.outer(self.centre, mixed.sum(dim=0))
        return outer

    def from_features(self, outer: Float[Tensor, "dim classes"]) -> Float[Tensor, "inner classes"]:
        """Project from all feature dimensions into the span, in its coordinates."""
        if isinstance(self.features, Rows):
            product = torch.cat([block.double() @ outer for block in self.features.blocks()])
        else:
            product = self.features @ outer
        projected = product - self.centre @ outer
        inner: Tensor = self.vectors.T @ projected / self.singular[:, None]
        return inner


def _centred_gram(features: Float[Tensor, "n dim"], centre: Float[Tensor, " dim"]) -> Float[Tensor, "n n"]:
    result = features.new_zeros(len(features), len(features))
    for block, block_centre in zip(torch.split(features, BLOCK, dim=1), torch.split(centre, BLOCK), strict=True):
        centred = block - block_centre
        result.addmm_(centred, centred.T)
    return result
