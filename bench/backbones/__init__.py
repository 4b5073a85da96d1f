"""Backbones by name, adapted to the size of the data set's images; torch is imported only when one is built."""

import importlib
from typing import TYPE_CHECKING

from bench.backbones.catalogue import find
from methods.traits import Traits

if TYPE_CHECKING:
    from methods.base import Backbone


def build(name: str, traits: Traits) -> "Backbone":
    """Return an untrained backbone for images of ``traits.size`` pixels and ``traits.channels`` channels.

    Its weights are drawn from torch's global generator, which the caller seeds. Raises SslbenchError if the name is unknown
    or the backbone does not support the size.
    """
    entry = find(name)
    builder = getattr(importlib.import_module(f"bench.backbones.{entry.module}"), entry.builder)
    built: Backbone = builder(traits, **dict(entry.arguments))
    return built
