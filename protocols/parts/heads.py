"""The heads that a label set trains on an encoder: linear, mlp, conv."""

from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from protocols.base import EncoderLike
from protocols.parts.labelled import SMALLEST_DEVIATION

HeadKind = Literal["linear", "mlp", "conv"]


class Classifier(nn.Module):
    """An encoder with a head on its standardised features (or, for ``conv``, on its standardised last feature map).

    Standardising by fixed figures of ``train`` makes one learning rate of the head mean the same for every encoder.

    Attributes:
        encoder: The network; an ``EncoderLike``.
        head: From standardised features to class scores.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, encoder: nn.Module, kind: HeadKind, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = encoder
        self.kind = kind
        like = cast(EncoderLike, encoder)
        self.dim = dim = like.map_dim if kind == "conv" else like.dim
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
        """The layer that gives class scores."""
        return cast(nn.Linear, self.head[-1])

    def forward(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch classes"]:
        """Return class scores of prepared images."""
        return cast(Tensor, self.head(self.standardised(self.raw(images))))

    def raw(self, images: Float[Tensor, "batch channels size size"]) -> Tensor:
        """Return what the head stands on: features, or the last feature map.

        Raises:
            ValueError: A convolutional head on an encoder without a feature map.
        """
        encoder = cast(EncoderLike, self.encoder)
        if self.kind != "conv":
            return encoder.features(images)
        found = encoder.feature_map(images)
        if found is None:
            raise ValueError("a conv head needs a feature map and this encoder has none; take the mlp head")
        return found

    def standardised(self, raw: Tensor) -> Tensor:
        """Return features or maps with the channels standardised."""
        shape = (-1, 1, 1) if raw.ndim == 4 else (-1,)
        return (raw - self.mean.view(shape)) * self.scale.view(shape)

    @torch.no_grad()
    def measure(self, raw: list[Tensor]) -> None:
        """Set the standardisation, and the running statistics of the head's batch norm, by what the head will stand on.

        Args:
            raw: Batches of ``raw`` of some training images.
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
    """Return the mean of each channel, the sum of squares around it, and how many values that was; in float64, a part at a time.

    Args:
        parts: Features (n × channels) or maps (n × channels × h × w).
    """
    flat = [part.transpose(0, 1).flatten(1) for part in parts]
    count = sum(part.shape[1] for part in flat)
    mean = torch.stack([part.double().sum(dim=1) for part in flat]).sum(dim=0) / count
    around = [(part.double() - mean[:, None]).square().sum(dim=1) for part in flat]
    return mean, torch.stack(around).sum(dim=0), count
