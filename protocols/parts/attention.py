"""Pooling by attention: one learned query per head over the cells of a feature map, then a linear layer."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from protocols.parts.labelled import Standardisation

QUERY_DEVIATION = 0.02
"""Of the query at the start, as in AIM: every cell has nearly the same weight."""


class AttentiveClassifier(nn.Module):
    """Cross-attention of one query with all cells, then a linear layer: the attention pooling of AIM (arXiv:2401.08541).

    It has the weights of multi-head attention without a projection of the query and of the output, and without biases. Because the query
    is the same for all images, keys and values of the cells are never computed: the projections are applied to the query and to the
    weighted means of the cells, which gives the same result for a fraction of the time.

    Args:
        standardise: Mean and deviation of the channels; a channel that hardly varies becomes zero.
        heads: Largest number of heads; it is lowered until it divides the number of channels.
        classes: Number of classes.
        generator: For the weights at the start, on the device of the module. The linear layer starts at zero.

    Attributes:
        heads: Number of heads.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, standardise: Standardisation, heads: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        dim, device = len(standardise.mean), generator.device
        self.heads = next(count for count in range(min(heads, dim), 0, -1) if dim % count == 0)
        self.query = nn.Parameter(torch.empty(dim, device=device))
        self.key = nn.Parameter(torch.empty(dim, dim, device=device))
        self.value = nn.Parameter(torch.empty(dim, dim, device=device))
        self.last = nn.Linear(dim, classes, device=device)
        nn.init.normal_(self.query, std=QUERY_DEVIATION, generator=generator)
        for weight in (self.key, self.value):
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("mean", standardise.mean.float())
        self.register_buffer("scale", torch.zeros(dim, device=device))
        self.scale[standardise.kept] = (1 / standardise.deviation[standardise.kept]).float()

    def forward(self, cells: Float[Tensor, "batch cells dim"]) -> Float[Tensor, "batch classes"]:
        """Return class scores."""
        cells = (cells - self.mean).mul_(self.scale)
        mixed = self.weights(cells).transpose(1, 2) @ cells
        values = torch.einsum("bhi,hdi->bhd", mixed, self._by_head(self.value))
        scores: Tensor = self.last(values.flatten(1))
        return scores

    def weights(self, standardised: Float[Tensor, "batch cells dim"]) -> Float[Tensor, "batch cells heads"]:
        """Return the attention of each head; it sums to one over the cells."""
        key = self._by_head(self.key)
        directions = torch.einsum("hd,hdi->hi", self.query.view(self.heads, -1), key) / math.sqrt(key.shape[1])
        return torch.softmax(standardised @ directions.T, dim=1)

    def _by_head(self, weight: Float[Tensor, "dim dim"]) -> Float[Tensor, "heads width dim"]:
        return weight.view(self.heads, -1, weight.shape[1])
