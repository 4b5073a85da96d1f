"""Classification heads on an encoder: linear, mlp, conv."""

from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from protocols.base import EncoderLike
from protocols.parts.labelled import SMALLEST_DEVIATION

HeadKind = Literal["linear", "mlp", "conv"]


class Classifier(nn.Module):
    """An encoder with a head on its standardised features (or, for ``conv``, on its standardised last feature map).

    Standardising by fixed statistics of ``train`` gives a learning rate of the head the same effect on every encoder.

    Attributes:
        encoder: The network, an ``EncoderLike``.
        head: From standardised features to class scores.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, encoder: nn.Module, kind: HeadKind, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = encoder
        self.kind = kind
        typed = cast(EncoderLike, encoder)
        self.dim = dim = typed.map_dim if kind == "conv" else typed.dim
        device = generator.device
        last = nn.Linear(dim, classes, device=device)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        layers: list[nn.Module] = []
        if kind != "linear":
            first = nn.Linear(dim, dim, bias=False) if kind == "mlp" else nn.Conv2d(dim, dim, 3, padding=1, bias=False)
            first = first.to(device)
            nn.init.kaiming_normal_(first.weight, nonlinearity="relu", generator=generator)
            norm = (nn.BatchNorm1d if kind == "mlp" else nn.BatchNorm2d)(dim, device=device)
            layers = [first, norm, nn.ReLU()]
            if kind == "conv":
                layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.head = nn.Sequential(*layers, last)
        self.register_buffer("mean", torch.zeros(dim, device=device))
        self.register_buffer("scale", torch.ones(dim, device=device))

    @property
    def last(self) -> nn.Linear:
        """The linear layer that outputs class scores."""
        return cast(nn.Linear, self.head[-1])

    def forward(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """Return class scores of prepared images."""
        return cast(Tensor, self.head(self.standardised(self.raw(images))))

    def raw(self, images: Float[Tensor, "batch channels size size"]) -> Tensor:
        """Return the input of the head before standardisation: features, or the last feature map.

        Raises:
            ValueError: The head is ``conv`` and the encoder has no feature map.
        """
        encoder = cast(EncoderLike, self.encoder)
        if self.kind != "conv":
            return encoder.features(images)
        feature_map = encoder.feature_map(images)
        if feature_map is None:
            raise ValueError("a conv head needs a feature map, but this encoder has none; use the mlp head")
        return feature_map

    def standardised(self, raw: Tensor) -> Tensor:
        """Return features or feature maps with standardised channels."""
        shape = (-1, 1, 1) if raw.ndim == 4 else (-1,)
        return (raw - self.mean.view(shape)) * self.scale.view(shape)

    @torch.no_grad()
    def measure(self, raw: list[Tensor]) -> None:
        """Set the standardisation and the running statistics of the head's batch norm.

        Args:
            raw: Batches of outputs of ``raw`` for some training images.
        """
        mean, squares, count = moments(raw)
        deviation = (squares / count).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation < SMALLEST_DEVIATION, 0.0, 1 / deviation.clamp_min(SMALLEST_DEVIATION)))
        if self.kind == "linear":
            return
        norm = cast(nn.BatchNorm1d | nn.BatchNorm2d, self.head[1])
        mean, squares, count = moments([self.head[0](self.standardised(x)) for x in raw])
        cast(Tensor, norm.running_mean).copy_(mean)
        cast(Tensor, norm.running_var).copy_(squares / (count - 1))


def moments(parts: list[Tensor]) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"], int]:
    """Return the mean of each channel, the sum of squared deviations from it, and the number of values per channel; in float64.

    Args:
        parts: Batches of features (n × channels) or feature maps (n × channels × h × w).
    """
    flat = [part.transpose(0, 1).flatten(1) for part in parts]
    count = sum(part.shape[1] for part in flat)
    mean = torch.stack([part.double().sum(dim=1) for part in flat]).sum(dim=0) / count
    squares = [(part.double() - mean[:, None]).square().sum(dim=1) for part in flat]
    return mean, torch.stack(squares).sum(dim=0), count
