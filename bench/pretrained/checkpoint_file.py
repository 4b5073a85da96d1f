"""A file of weights for one of the backbones: written by `sslbench export`, or by any other training of the same network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from torch import Tensor, nn

from bench import backbones
from bench.backbones.catalogue import find
from bench.errors import SslbenchError
from bench.pretrained import weight_matching, weights_file
from bench.pretrained.method import BuiltEncoder
from bench.pretrained.names import CHECKPOINT
from methods.base import Backbone, InputSpec, Pooling, input_of
from methods.traits import Traits


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint file.

    Attributes:
        file: The file.
        asked: The backbone that the user named, or None.
    """

    file: Path
    asked: str | None
    title: str = "A file of weights for one of the backbones"
    paper: str = "none: the file"

    @property
    def name(self) -> str:
        """``checkpoint:`` and the file name without its suffix."""
        return CHECKPOINT + self.file.stem.removesuffix(".pth")

    def backbone(self) -> str:
        """Return the name of the backbone: the one in the file's metadata, else the one that the user named.

        Raises:
            SslbenchError: There is neither, they differ, or the file was written for another version of the backbone.
        """
        about = weights_file.metadata(self.file)
        named = about.get("backbone")
        if named is None:
            if self.asked is None:
                raise SslbenchError(f"{self.file} does not name its backbone; add --backbone NAME")
            return self.asked
        if self.asked not in (None, named):
            raise SslbenchError(f"{self.file} has weights for backbone {named}, not {self.asked}; leave --backbone out")
        version, now = about.get("backbone_version", ""), find(named).version
        if version != str(now):
            raise SslbenchError(
                f"{self.file}: written for version {version} of backbone {named}; this sslbench has version {now}"
            )
        return named

    def digest(self) -> str:
        """Return the hash of the file."""
        return weights_file.digest(self.file)

    def build(self, traits: Traits, size: int | None) -> BuiltEncoder:
        """Build the backbone and load the weights.

        Image size and normalisation come from the metadata of an exported file, else from the data set; ``size`` overrides the
        size. Grey images are repeated to three channels if the file's first layer takes three.
        """
        name = self.backbone()
        about = weights_file.metadata(self.file)
        exported = "input" in about
        spec = exported_input(about, str(self.file)) if exported else input_of(traits)
        spec = replace(spec, size=size or spec.size)
        tensors = weights_file.read_weights(self.file)
        backbone = _build(name, spec, traits)
        match = weight_matching.match_weights(backbone, tensors)
        if not exported and traits.channels == 1:
            three_channels = InputSpec(spec.size, 3, spec.mean * 3, spec.std * 3)
            other_backbone = _build(name, three_channels, traits)
            other_match = weight_matching.match_weights(other_backbone, tensors)
            if other_match.share > match.share:
                spec, backbone, match = three_channels, other_backbone, other_match
        weight_matching.check(backbone, tensors, match, name, str(self.file))
        weight_matching.load(backbone, tensors, match)
        pooling = _pooling(about.get("pooling", backbone.pooling), str(self.file))
        code = _code(tensors, backbone) if exported else None
        notes = weight_matching.describe(backbone, tensors, match, name, str(self.file))
        return BuiltEncoder(backbone, spec, pooling, lambda: _build(name, spec, traits), tuple(notes), code)


def _build(name: str, spec: InputSpec, traits: Traits) -> Backbone:
    """Return the backbone with random weights, for images of ``spec``."""
    return backbones.build(name, replace(traits, size=spec.size, channels=spec.channels, mean=spec.mean, std=spec.std))


def _code(tensors: Mapping[str, Tensor], backbone: Backbone) -> nn.Linear | None:
    """Return the linear layer on top of an exported encoder's backbone, or None if it has none."""
    if "code.weight" not in tensors:
        return None
    code = nn.Linear(backbone.dim, len(tensors["code.weight"]))
    code.load_state_dict({name: tensors[f"code.{name}"] for name in ("weight", "bias")})
    return code


def _pooling(named: str, where: str) -> Pooling:
    for pooling in get_args(Pooling):
        if pooling == named:
            return cast(Pooling, pooling)
    raise SslbenchError(f"{where}: unknown pooling '{named}' in its metadata")


def exported_input(about: Mapping[str, str], where: str) -> InputSpec:
    """Return the input of an exported encoder, from the metadata of its file.

    Raises:
        SslbenchError: The metadata cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads(about["input"])
        mean, std = (tuple(map(float, found[key])) for key in ("mean", "std"))
        return InputSpec(int(found["size"]), int(found["channels"]), mean, std)
    except (ValueError, KeyError, TypeError) as error:
        raise SslbenchError(f"{where}: its metadata 'input' cannot be read ({error})") from error
