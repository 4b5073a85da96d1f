"""The catalogue of backbones: names, versions, titles and builders; imports no torch."""

from dataclasses import dataclass
from typing import Literal

from bench.errors import unknown


@dataclass(frozen=True)
class Backbone:
    """One entry of the catalogue.

    Attributes:
        name: Value of ``--backbone``.
        version: Increases whenever a change of the code changes results.
        title: One line for ``sslbench list backbones``.
        kind: Family; precision and a method's recipe depend on it.
        dim: Number of features.
        module: Module of ``bench.backbones`` with the builder.
        builder: Class or function in the module; takes traits and ``arguments``.
        arguments: Keyword arguments of the builder.
    """

    name: str
    version: int
    title: str
    kind: Literal["convolutional", "transformer", "mlp"]
    dim: int
    module: str
    builder: str
    arguments: tuple[tuple[str, str | int], ...] = ()


_ENTRIES = (
    Backbone("resnet9", 1, "ResNet-9, width 64", "convolutional", 512, "resnet9", "ResNet9", (("width", 64),)),
    Backbone("resnet9_slim", 1, "ResNet-9, width 16", "convolutional", 128, "resnet9", "ResNet9", (("width", 16),)),
    Backbone(
        "resnet18",
        1,
        "ResNet-18, 3×3 stem up to 64 px",
        "convolutional",
        512,
        "resnet",
        "ResNet",
        (("name", "resnet18"),),
    ),
    Backbone(
        "resnet18_pad2",
        1,
        "ResNet-18, 3×3 stem padded by 2 up to 64 px, as in solo-learn",
        "convolutional",
        512,
        "resnet",
        "ResNet",
        (("name", "resnet18"), ("stem_padding", 2)),
    ),
    Backbone(
        "resnet50",
        1,
        "ResNet-50, 3×3 stem up to 64 px",
        "convolutional",
        2048,
        "resnet",
        "ResNet",
        (("name", "resnet50"),),
    ),
    Backbone(
        "resnet50_pad2",
        1,
        "ResNet-50, 3×3 stem padded by 2 up to 64 px, as in solo-learn",
        "convolutional",
        2048,
        "resnet",
        "ResNet",
        (("name", "resnet50"), ("stem_padding", 2)),
    ),
    Backbone("alexnet", 1, "AlexNet with batch norm, small-image form", "convolutional", 256, "alexnet", "AlexNet"),
    Backbone("mlp", 1, "Three hidden layers on the flattened image: 512, 256, 128", "mlp", 128, "mlp", "MLP"),
    Backbone(
        "vit_nano",
        1,
        "ViT of width 64, depth 4, 4 heads",
        "transformer",
        64,
        "vit",
        "ViT",
        (("width", 64), ("depth", 4), ("heads", 4)),
    ),
    Backbone(
        "vit_tiny",
        1,
        "ViT of width 192, depth 12, 3 heads",
        "transformer",
        192,
        "vit",
        "ViT",
        (("width", 192), ("depth", 12), ("heads", 3)),
    ),
    Backbone(
        "vit_small",
        1,
        "ViT of width 384, depth 12, 6 heads",
        "transformer",
        384,
        "vit",
        "ViT",
        (("width", 384), ("depth", 12), ("heads", 6)),
    ),
)

CATALOGUE: dict[str, Backbone] = {entry.name: entry for entry in _ENTRIES}
"""All backbones by name, in the order of ``sslbench list backbones``."""


def find(name: str) -> Backbone:
    """Return the entry of ``name``; raises SslbenchError with the nearest name if it is unknown."""
    if name not in CATALOGUE:
        raise unknown("backbone", name, CATALOGUE)
    return CATALOGUE[name]
