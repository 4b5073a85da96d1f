"""A file of weights for one of the backbones: written by `sslbench export`, or by any other training of the same network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from torch import Tensor, nn

from bench import backbones
from bench.backbones.catalogue import CATALOGUE, find
from bench.backbones.resnet import ResNet
from bench.backbones.vit import ViT
from bench.errors import SslbenchError
from bench.pretrained import weight_matching, weights_file
from bench.pretrained.image_input import OF_THE_DATA_SET, PretrainedSettings, checked_input, chosen_input
from bench.pretrained.method import BuiltEncoder
from bench.pretrained.names import CHECKPOINT
from bench.pretrained.notes import measured_statistics, resampled_positions, seen_before
from bench.pretrained.positions import with_resampled_positions
from bench.pretrained.weight_matching import Match
from bench.printable import printable
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
            shown = printable(named, 80)
            raise SslbenchError(f"{self.file} has weights for backbone {shown}, not {self.asked}; leave --backbone out")
        if named not in CATALOGUE:
            raise SslbenchError(
                f"{self.file}: written for backbone '{printable(named, 80)}', which sslbench does not have"
            )
        version, now = printable(about.get("backbone_version", ""), 80), find(named).version
        if version != str(now):
            raise SslbenchError(
                f"{self.file}: written for version {version} of backbone {named}; this sslbench has version {now}"
            )
        return named

    def digest(self) -> str:
        """Return the hash of the file."""
        return weights_file.digest(self.file)

    def build(self, traits: Traits, settings: PretrainedSettings) -> BuiltEncoder:
        """Build the backbone and load the weights.

        Image size and normalisation come from the metadata of an exported file, else from the data set; the settings override them.
        Grey images are repeated to three channels if the file's first layer takes three.
        """
        name, where = self.backbone(), printable(str(self.file))
        about = weights_file.metadata(self.file)
        exported = "input" in about
        spec = exported_input(about, where) if exported else input_of(traits)
        spec = checked_input(replace(spec, size=spec.size if settings.size is None else settings.size), where)
        tensors = weights_file.read_weights(self.file)
        backbone, tensors, match = _matched(name, spec, traits, tensors, where)
        if not exported and traits.channels == 1:
            three_channels = InputSpec(spec.size, 3, spec.mean * 3, spec.std * 3)
            other_backbone, other_tensors, other_match = _matched(name, three_channels, traits, tensors, where)
            if other_match.share > match.share:
                spec, backbone, tensors, match = three_channels, other_backbone, other_tensors, other_match
        weight_matching.check(backbone, tensors, match, name, where, _hint(backbone))
        weight_matching.load(backbone, tensors, match)
        pooling = named_pooling(about.get("pooling", backbone.pooling), where)
        code = _code(tensors, backbone, where) if exported else None
        whose = "as in its training" if exported else OF_THE_DATA_SET
        spec, normalisation = chosen_input(spec, whose, settings, traits, where)
        notes = [normalisation]
        if not exported:
            notes += _unseen(backbone)
        if not exported or settings.saw is not None:
            notes += seen_before(None, traits, settings.saw)
        if match.without_statistics:
            notes.append(measured_statistics(traits))
        if match.resampled:
            notes.append(resampled_positions(match.resampled))
        return BuiltEncoder(
            backbone,
            spec,
            pooling,
            lambda: _build(name, spec, traits),
            notes=tuple(notes),
            loaded=weight_matching.describe(match, name, printable(self.file.name)),
            code=code,
            lacks_statistics=match.without_statistics,
        )


def _build(name: str, spec: InputSpec, traits: Traits) -> Backbone:
    """Return the backbone with random weights, for images of ``spec``."""
    return backbones.build(name, replace(traits, size=spec.size, channels=spec.channels, mean=spec.mean, std=spec.std))


def _matched(
    name: str, spec: InputSpec, traits: Traits, tensors: dict[str, Tensor], where: str
) -> tuple[Backbone, dict[str, Tensor], Match]:
    """Return the backbone, the file's tensors with positions of this image size, and how they match."""
    backbone = _build(name, spec, traits)
    try:
        match = weight_matching.match_weights(backbone, tensors)
        if isinstance(backbone, ViT):
            tensors, resampled = with_resampled_positions(backbone, tensors, match)
            if resampled:
                match = replace(weight_matching.match_weights(backbone, tensors), resampled=resampled)
    except SslbenchError as error:
        raise SslbenchError(f"{where}: {error}") from error
    return backbone, tensors, match


def _hint(backbone: Backbone) -> str:
    """Return what to do if the first layer has another shape."""
    start = "; a network of another image size is built with --set size=N"
    if isinstance(backbone, ResNet):
        return f"{start} (ResNets have a 3×3 stem up to 64 pixels, ImageNet's 7×7 above)"
    if isinstance(backbone, ViT):
        return f"{start} (patches have 2 pixels below 16, 4 below 64, 8 below 128, then 16)"
    return start


def _unseen(backbone: Backbone) -> list[str]:
    """Return a note on what the weights do not show, which is therefore taken from the backbone."""
    if isinstance(backbone, ResNet):
        return [f"not visible in its weights, taken from the backbone: {backbone.structure}"]
    if isinstance(backbone, ViT):
        heads = cast(Any, backbone.vit.blocks[0]).attn.num_heads
        return [f"not visible in its weights, taken from the backbone: {heads} attention heads"]
    return []


def _code(tensors: Mapping[str, Tensor], backbone: Backbone, where: str) -> nn.Linear | None:
    """Return the linear layer on top of an exported encoder's backbone, or None if it has none."""
    found = {name: tensors[f"code.{name}"] for name in ("weight", "bias") if f"code.{name}" in tensors}
    if not found:
        return None
    weight, bias = (found.get(name) for name in ("weight", "bias"))
    if (
        weight is None
        or bias is None
        or weight.ndim != 2
        or bias.shape != weight.shape[:1]
        or weight.shape[1] != backbone.dim
        or not all(tensor.isfinite().all() for tensor in found.values())
    ):
        raise SslbenchError(f"{where}: its layer 'code' does not fit a backbone of {backbone.dim} features")
    code = nn.Linear(backbone.dim, len(weight))
    code.load_state_dict(found)
    return code


def named_pooling(named: str, where: str) -> Pooling:
    """Return the pooling that a file's metadata names; raises SslbenchError for an unknown one."""
    for pooling in get_args(Pooling):
        if pooling == named:
            return cast(Pooling, pooling)
    raise SslbenchError(f"{where}: unknown pooling '{printable(named, 80)}' in its metadata")


def exported_input(about: Mapping[str, str], where: str) -> InputSpec:
    """Return the input of an exported encoder, from the metadata of its file.

    Raises:
        SslbenchError: The metadata cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads(about["input"])
        mean, std = (tuple(map(float, found[key])) for key in ("mean", "std"))
        spec = InputSpec(int(found["size"]), int(found["channels"]), mean, std)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise SslbenchError(f"{where}: its metadata 'input' cannot be read ({printable(str(error), 200)})") from error
    return checked_input(spec, f"{where}, metadata 'input'")
