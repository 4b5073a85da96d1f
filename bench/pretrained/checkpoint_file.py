"""A file of weights for one of our backbones: exported by `sslbench export`, or from any training of the same network."""

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
from bench.pretrained.method import Built
from bench.pretrained.names import CHECKPOINT
from methods.base import Backbone, InputSpec, Pooling, input_of
from methods.traits import Traits


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights_file.

    Attributes:
        file: The file.
        asked: The backbone that the user named; None where the file is to name it.
    """

    file: Path
    asked: str | None
    title: str = "A file of weights for one of our backbones"
    paper: str = "none: the file"

    @property
    def name(self) -> str:
        """``checkpoint:`` and the file's name without its ending."""
        return CHECKPOINT + self.file.stem.removesuffix(".pth")

    def backbone(self) -> str:
        """Return the backbone: the one that was asked for, else the one that the file names.

        Raises:
            SslbenchError: Neither is there, they differ, or the file's was of another version.
        """
        about = weights_file.metadata(self.file)
        named = about.get("backbone")
        if named is None:
            if self.asked is None:
                raise SslbenchError(f"{self.file} does not name its backbone: add --backbone NAME")
            return self.asked
        if self.asked not in (None, named):
            raise SslbenchError(f"{self.file} is of backbone {named}, not {self.asked}; leave --backbone out")
        version, now = about.get("backbone_version", ""), find(named).version
        if version != str(now):
            raise SslbenchError(
                f"{self.file}: made for version {version} of backbone {named}, here it is version {now}"
            )
        return named

    def digest(self) -> str:
        """Return the hash of the file."""
        return weights_file.digest(self.file)

    def build(self, traits: Traits, size: int | None) -> Built:
        """Build the backbone for the file's own image size, else the data set's, and put the weights in.

        Grey images are spread to three channels where the file's first layer takes three. Images are normalised as the file
        says, else by the data set's mean and deviation.
        """
        name = self.backbone()
        about = weights_file.metadata(self.file)
        exported = "input" in about
        spec = exported_input(about, str(self.file)) if exported else input_of(traits)
        spec = replace(spec, size=size or spec.size)
        tensors = weights_file.read_weights(self.file)
        backbone = _built(name, spec, traits)
        found = weight_matching.fit(backbone, tensors)
        if not exported and traits.channels == 1:
            coloured = InputSpec(spec.size, 3, spec.mean * 3, spec.std * 3)
            other = _built(name, coloured, traits)
            if (fits := weight_matching.fit(other, tensors)).share > found.share:
                spec, backbone, found = coloured, other, fits
        weight_matching.check(backbone, tensors, found, name, str(self.file))
        weight_matching.load(backbone, tensors, found)
        pooling = _pooling(about.get("pooling", backbone.pooling), str(self.file))
        code = _code(tensors, backbone) if exported else None
        notes = weight_matching.lines(backbone, tensors, found, name, str(self.file))
        return Built(backbone, spec, pooling, lambda: _built(name, spec, traits), tuple(notes), code)


def _built(name: str, spec: InputSpec, traits: Traits) -> Backbone:
    of = replace(traits, size=spec.size, channels=spec.channels, mean=spec.mean, std=spec.std)
    return backbones.build(name, of)


def _code(tensors: Mapping[str, Tensor], backbone: Backbone) -> nn.Linear | None:
    """Return the linear code that an exported encoder has on its backbone, if it has one."""
    if "code.weight" not in tensors:
        return None
    code = nn.Linear(backbone.dim, len(tensors["code.weight"]))
    code.load_state_dict({name: tensors[f"code.{name}"] for name in ("weight", "bias")})
    return code


def _pooling(named: str, where: str) -> Pooling:
    for pooling in get_args(Pooling):
        if pooling == named:
            return cast(Pooling, pooling)
    raise SslbenchError(f"{where}: names a pooling '{named}', there is none")


def exported_input(about: Mapping[str, str], where: str) -> InputSpec:
    """Return what an exported encoder expects, from the metadata of its file.

    Raises:
        SslbenchError: They cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads(about["input"])
        mean, std = (tuple(map(float, found[key])) for key in ("mean", "std"))
        return InputSpec(int(found["size"]), int(found["channels"]), mean, std)
    except (ValueError, KeyError, TypeError) as error:
        raise SslbenchError(f"{where}: its metadata 'input' cannot be read ({error})") from error
